-- Of these outcomes, which stand in the table already? An earlier statement wrote them whose answer was lost.
select o.id
from unnest(%(ids)s::uuid[], %(attempts)s::int[], %(statuses)s::text[], %(errors)s::text[]) as o (id, attempt, status, error)
join job_runs r on r.id = o.id and r.attempt = o.attempt
where r.status = 'pending' and o.status = 'pending'
    or r.server_id = %(server_id)s and r.status::text = o.status and r.error is not distinct from o.error;
