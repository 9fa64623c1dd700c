-- At the start of the only living server: end the due runs that waited while nobody was there. What may be started again
-- anyway (requeue, retries) stays, and so does what is due later.
update job_runs
set status = 'failed', error = 'Server restarted during execution', completed_at = owl_now()
where status = 'pending' and run_at <= owl_now() and not requeue_on_restart and max_attempts = 1
    and not exists (select from servers where id <> %(server_id)s and buried_at is null and lease_expires_at > owl_now())
returning id, job_type, status;
