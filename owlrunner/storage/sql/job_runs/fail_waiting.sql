-- At the start of a server, when no other has been alive for so many seconds: end the due runs that had been waiting for as long. What may be
-- started again anyway (requeue, retries) stays, and so does what is due later. A server that was alive a moment ago would have run them, and so
-- shall this one. So many at once.
with forgotten as (
    select id from job_runs
    where status = 'pending' and run_at <= owl_now() - %(after)s * interval '1 second' and not requeue_on_restart and max_attempts = 1
        and not exists (
            select from servers
            where id <> %(server_id)s
                -- One that left in order was alive until then, whatever is left of its lease.
                and least(lease_expires_at, buried_at) > owl_now() - %(after)s * interval '1 second')
    limit %(limit)s
    for no key update skip locked
)
update job_runs
set status = 'failed', error = 'Server restarted during execution', completed_at = owl_now()
where id = any(array(select id from forgotten))
returning id, job_type, status;
