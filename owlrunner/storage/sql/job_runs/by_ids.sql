-- Some runs, whoever they belong to: by_id.sql for many.
select id, job_type, status, team_id, project_id, triggered_by, params, progress, result, error, notify, started_at, completed_at, created_at,
    run_at, priority, attempt, max_attempts, server_id, cancel_requested_at, cancelled_by
from job_runs where id = any(%(ids)s);
