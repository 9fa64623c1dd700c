-- Write the outcomes of many attempts at once. A row is touched only if this server still holds it in this attempt; what
-- comes back are the runs that were not, which is hardly ever one. The last progress is written too, raised to its total where the run completed.
--
-- A status of 'pending' means: again later. A cancel request that arrived meanwhile goes before: such a run stays failed,
-- or the request would be lost with the next attempt.
with outcome as (
    -- One text instead of eight arrays, each of which psycopg would go through value by value.
    select * from json_to_recordset(%(outcomes)s::json) as o (
        id uuid, attempt integer, status job_status, result jsonb, error text, progress jsonb, retry_in float8, relinquished boolean
    )
),
decided as (
    select o.*, r.cancel_requested_at is null and o.status = 'pending' as again
    from outcome o join job_runs r on r.id = o.id and r.attempt = o.attempt and r.status = 'running' and r.server_id = %(server_id)s
),
written as (
    update job_runs r
    set status = case when d.again then 'pending' when d.status = 'pending' then 'failed' else d.status end,
        result = d.result,
        error = case when d.again then null else d.error end,
        progress = coalesce(d.progress, r.progress),
        completed_at = case when d.again then null else greatest(owl_now(), r.started_at) end,
        run_at = case when d.again then owl_now() + coalesce(d.retry_in, 0) * interval '1 second' else r.run_at end,
        started_at = case when d.again then null else r.started_at end,
        server_id = case when d.again then null else r.server_id end,
        max_attempts = r.max_attempts + (d.again and coalesce(d.relinquished, false))::int
    from decided d
    where r.id = d.id and r.attempt = d.attempt and r.status = 'running' and r.server_id = %(server_id)s
    returning r.id
)
select id from outcome where id not in (select id from written);
