-- The next ended runs that are old enough, with what hangs on each. Along the primary key, because ids grow with time: an index on
-- completed_at would cost every finished run an entry more, for the sake of one job a night. What an id does not tell is when the
-- run ended: one that ended after the cutoff stays, and is looked at again the next time.
select
    page.id,
    (select count(*) from job_run_logs l where l.run_id = page.id),
    (select count(*) from notifications n where n.run_id = page.id),
    exists (select from notifications n where n.run_id = page.id and n.status = 'pending')
from (
    select id from job_runs
    where id > %(after)s and id < %(bound)s and completed_at < %(cutoff)s and id <> all(%(kept)s::uuid[])
    order by id
    limit %(rows)s
) as page
order by page.id;
