-- The newest lines of a run's log after the given one, as far as they fit, in order. What is searched is a number of the newest
-- lines: a run has many, and a search for what is not there reads them all.
select attempt, seq, at, level, logger, message from (
    select * from (
        select * from job_run_logs
        where run_id = %(run_id)s and (attempt, seq) > (%(after_attempt)s, %(after_seq)s)
        order by attempt desc, seq desc
        limit %(searched)s
    ) recent
    where (%(levels)s::text[] is null or level = any(%(levels)s))
        and (%(text)s::text is null or position(lower(%(text)s) in lower(message)) > 0)
    order by attempt desc, seq desc
    limit %(limit)s
) newest
order by attempt, seq;
