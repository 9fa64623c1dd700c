-- The runs of a batch that still are to go. Locked in the order of everybody else, a run before what hangs on it, and without
-- waiting: a run that somebody works on (its team is being removed) is left for the next time.
select id from job_runs r
where id = any(%(ids)s::uuid[]) and completed_at < %(cutoff)s
    and not exists (select from notifications n where n.run_id = r.id and n.status = 'pending')
for update skip locked;
