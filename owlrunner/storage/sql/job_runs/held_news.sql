-- Of the runs that this server believes to hold: which have been lost (they are not its own any more), and for which was a
-- cancel requested? Runs with no news are not returned.
select h.id, h.attempt, r.id is null as lost, r.cancelled_by
from unnest(%(ids)s::uuid[], %(attempts)s::int[]) as h (id, attempt)
left join job_runs r on r.id = h.id and r.attempt = h.attempt and r.server_id = %(server_id)s
where r.id is null or (r.status = 'running' and r.cancel_requested_at is not null);
