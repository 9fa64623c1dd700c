-- End the runs whose server is dead, or send them back where their job type or their remaining attempts allow it. Runs
-- in the same transaction as the burying of those servers, so that a server is either alive with all its runs or dead without.
--
-- A run for which a cancel was requested is not started again. A run that took ten servers with it is not started an eleventh time.
with stale as (
    select r.id, r.requeue_on_restart and r.restarts < 10 as requeue,
        r.cancel_requested_at is null and (r.requeue_on_restart and r.restarts < 10 or r.attempt < r.max_attempts) as again
    from job_runs r
    where r.status = 'running' and not exists (select from servers s where s.id = r.server_id and s.buried_at is null)
    for update
),
noted as (
    -- A run that goes back keeps the reason in its log, where the next attempt's error cannot take its place.
    insert into job_run_logs (run_id, attempt, seq, at, level, logger, message)
    select r.id, r.attempt, coalesce((select max(l.seq) from job_run_logs l where l.run_id = r.id and l.attempt = r.attempt), 0) + 1,
        owl_now(), 'error', 'owlrunner', 'Server restarted during execution'
    from stale join job_runs r on r.id = stale.id where stale.again
)
update job_runs r
set status = case when again then 'pending' else 'failed' end::job_status,
    error = case when again then null else 'Server restarted during execution' end,
    completed_at = case when again then null else greatest(owl_now(), r.started_at) end,
    started_at = case when again then null else r.started_at end,
    run_at = case when again then owl_now() else r.run_at end,
    server_id = case when again then null else r.server_id end,
    restarts = r.restarts + 1,
    max_attempts = r.max_attempts + (again and requeue)::int
from stale
where r.id = stale.id
returning r.id, r.job_type, r.status;
