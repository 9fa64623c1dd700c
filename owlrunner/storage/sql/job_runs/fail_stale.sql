-- End the runs whose server is dead, or send them back where their job type or their remaining attempts allow it; so many at once, because
-- thousands may have been held. The first are ended in the transaction that marks the server dead.
--
-- A run for which a cancel was requested is not started again. A run that took ten servers with it is not started an eleventh time, whatever would
-- allow it: the try is counted here, where the process that it ended cannot forget to.
with stale as (
    select r.id, r.requeue_on_restart as requeue,
        r.cancel_requested_at is null and r.restarts < 10 and (r.requeue_on_restart or r.attempt < r.max_attempts) as again
    from job_runs r
    where r.status = 'running' and not exists (select from servers s where s.id = r.server_id and s.buried_at is null)
    limit %(limit)s
    -- No key update: a line of the dead server's log that is not committed yet keeps the run's key, and shall not keep the run.
    for no key update skip locked
),
noted as (
    -- A run that goes back keeps the reason in its log, where the next attempt's error cannot take its place. Far behind what the lost server
    -- may have sent: a line of its own that is not committed yet must not meet this one.
    insert into job_run_logs (run_id, attempt, seq, at, level, logger, message)
    select r.id, r.attempt, coalesce((select max(l.seq) from job_run_logs l where l.run_id = r.id and l.attempt = r.attempt), 0) + 1000000,
        owl_now(), 'error', 'owlrunner', 'Server restarted during execution'
    from stale join job_runs r on r.id = stale.id where stale.again
    on conflict do nothing
),
ended as (
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
    returning r.id, r.job_type, r.status
),
bell as (
    select pg_notify('owlrunner_pending', '') from ended limit 1
)
select ended.* from ended left join bell on true;
