-- Take up to so many due runs of the job types that this server offers. Locked rows are being taken by somebody else, so
-- they are skipped; a server that has been buried, or whose lease has run out, takes nothing.
with due as (
    select id from job_runs
    where status = 'pending' and run_at <= owl_now() and job_type = any(%(job_types)s)
        and exists (select from servers where id = %(server_id)s and buried_at is null and lease_expires_at > owl_now())
    order by priority desc, run_at, id
    limit %(room)s
    for update skip locked
)
update job_runs r
set status = 'running', server_id = %(server_id)s, attempt = r.attempt + 1, started_at = owl_now(), progress = null
-- An array instead of a join: nobody can tell the planner how many are due.
where r.id = any(array(select id from due))
returning r.id, r.job_type, r.project_id, r.team_id, r.params, r.attempt, r.max_attempts;
