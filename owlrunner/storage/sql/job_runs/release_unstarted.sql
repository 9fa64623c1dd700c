-- Give back the runs that stand in our name but that we do not execute: a claim whose answer was lost with its connection.
-- They were never started, so nothing counts against them; one that was cancelled meanwhile is simply cancelled.
update job_runs r
set status = case when r.cancel_requested_at is null then 'pending' else 'cancelled' end::job_status,
    completed_at = case when r.cancel_requested_at is null then null else owl_now() end,
    started_at = case when r.cancel_requested_at is null then null else r.started_at end,
    server_id = case when r.cancel_requested_at is null then null else r.server_id end,
    max_attempts = r.max_attempts + 1
where r.status = 'running' and r.server_id = %(server_id)s
    and (r.id, r.attempt) not in (select id, attempt from unnest(%(ids)s::uuid[], %(attempts)s::int[]) as known (id, attempt))
returning r.id;
