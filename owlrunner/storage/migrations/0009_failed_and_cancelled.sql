-- Which runs of a team failed last, by when they failed, which for a long run is long after it was created; and how many were
-- cancelled, without going through those that failed.
-- compatible: yes

create index job_runs_failed_idx on job_runs (team_id, completed_at desc) where status = 'failed';
create index job_runs_cancelled_idx on job_runs (team_id, created_at desc, id desc) where status = 'cancelled';
