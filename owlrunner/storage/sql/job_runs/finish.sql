-- Write the outcomes of many attempts at once. A row is touched only if this server still holds it in this attempt; what
-- comes back are the runs that were not, which is hardly ever one. The last progress is written too, raised to its total where the run completed.
--
-- A status of 'pending' means: again later. A cancel request that arrived meanwhile goes before: such a run stays failed,
-- or the request would be lost with the next attempt.
with outcome as (
    -- One text instead of eight arrays, each of which psycopg would go through value by value.
    select o.*, o.status = 'pending' as again from json_to_recordset(%(outcomes)s::json) as o (
        id uuid, attempt integer, status job_status, result jsonb, error text, progress jsonb, retry_in float8, relinquished boolean
    )
),
written as (
    update job_runs r
    set status = case when not o.again then o.status when r.cancel_requested_at is null then 'pending' else 'failed' end,
        result = o.result,
        error = case when o.again and r.cancel_requested_at is null then null else o.error end,
        progress = coalesce(o.progress, r.progress),
        completed_at = case when o.again and r.cancel_requested_at is null then null else greatest(owl_now(), r.started_at) end,
        run_at = case when o.again and r.cancel_requested_at is null then owl_now() + coalesce(o.retry_in, 0) * interval '1 second' else r.run_at end,
        started_at = case when o.again and r.cancel_requested_at is null then null else r.started_at end,
        server_id = case when o.again and r.cancel_requested_at is null then null else r.server_id end,
        max_attempts = r.max_attempts + (o.again and r.cancel_requested_at is null and coalesce(o.relinquished, false))::int
    from outcome o
    where r.id = o.id and r.attempt = o.attempt and r.server_id = %(server_id)s
        -- The cast keeps the index on held runs away. When the table was last analyzed next to nothing was running, so to the planner
        -- that index looks like the shortest way, and it would compare each outcome with each held run.
        and r.status::text = 'running'
    -- The ring for each of them, which PostgreSQL makes one: a query of its own beside this one would not be executed where nothing is left to tell.
    returning r.id, case when %(ring)s then pg_notify('owlrunner_pending', '') end
)
select id from outcome where id not in (select id from written);
