-- The next ended runs that are old enough, with the bytes that each takes. Along the primary key, because ids grow with time: an
-- index on completed_at would cost every finished run an entry more, for the sake of one job a night. What an id does not tell is
-- when the run ended: one that ended after the cutoff stays, and is looked at again the next time.
select
    owl_row.id,
    {stored},
    exists (select from notifications n where n.run_id = owl_row.id and n.status = 'pending')
from (
    select * from job_runs
    where id > %(after)s and id < %(bound)s and completed_at < %(cutoff)s and id <> all(%(kept)s::uuid[])
    order by id
    limit %(rows)s
) as owl_row
order by owl_row.id;
