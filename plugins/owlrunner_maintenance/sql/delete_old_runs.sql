-- One batch of runs with all that hangs on them. The foreign keys would take logs and notifications along too, uncounted. Locked
-- in the order of everybody else, a run before what hangs on it, and without waiting: a run that somebody works on (its team is
-- being removed) is left for the next time.
with gone as materialized (
    select id from job_runs r
    where id = any(%(ids)s::uuid[]) and completed_at < %(cutoff)s
        and not exists (select from notifications n where n.run_id = r.id and n.status = 'pending')
    for update skip locked
),
logs as (
    delete from job_run_logs l using gone where l.run_id = gone.id returning 1
),
told as (
    delete from notifications n using gone where n.run_id = gone.id returning 1
),
runs as (
    delete from job_runs r using gone where r.id = gone.id returning 1
)
select (select count(*) from runs), (select count(*) from logs), (select count(*) from told);
