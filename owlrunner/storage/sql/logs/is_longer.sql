-- Whether a run's log has more lines than a number.
select exists (select from job_run_logs where run_id = %(run_id)s offset %(lines)s);
