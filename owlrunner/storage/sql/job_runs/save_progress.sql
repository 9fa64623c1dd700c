-- Store the latest progress of many runs in one statement; only of runs that this server still holds in that attempt.
-- No index covers progress, so these updates are HOT. The cast keeps an index away, as finish.sql tells.
update job_runs r set progress = p.progress
from unnest(%(ids)s::uuid[], %(attempts)s::int[], %(progresses)s::jsonb[]) as p (id, attempt, progress)
where r.id = p.id and r.attempt = p.attempt and r.server_id = %(server_id)s
    and r.status::text = 'running';
