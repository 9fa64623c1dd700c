-- A run's log in order, after the given line.
select attempt, seq, at, level, logger, message from job_run_logs
where run_id = %(run_id)s and (attempt, seq) > (%(after_attempt)s, %(after_seq)s)
order by attempt, seq
limit %(limit)s;
