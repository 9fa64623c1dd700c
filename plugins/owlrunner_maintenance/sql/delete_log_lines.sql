-- One batch of a log that is too long to go with its run, from its beginning. The run has ended, so no line is added to it.
delete from job_run_logs
where ctid = any(array(
    select l.ctid from job_run_logs l
    where l.run_id = %(run)s
    order by l.attempt, l.seq
    limit %(rows)s
));
