-- Store the latest progress of many runs in one statement, and some of it for good; only of runs that this server still holds in
-- that attempt. No index covers progress, so these updates are HOT. The cast keeps an index away, as finish.sql tells.
with saved as (
    update job_runs r set progress = p.progress
    from unnest(%(ids)s::uuid[], %(attempts)s::int[], %(progresses)s::jsonb[], %(kept)s::bool[]) as p (id, attempt, progress, kept)
    where r.id = p.id and r.attempt = p.attempt and r.server_id = %(server_id)s
        and r.status::text = 'running'
    returning r.id, r.attempt, p.progress, p.kept
)
insert into job_run_progress (run_id, attempt, processed, total)
select id, attempt, (progress->>'processed')::bigint, (progress->>'total')::bigint from saved where kept
on conflict do nothing;
