-- Store log lines of many runs in one statement; only of runs that this server still holds in that attempt. A line's time is
-- the database's now minus its age, so that lines of several servers stand in one time. The cast keeps an index away, as finish.sql tells.
insert into job_run_logs (run_id, attempt, seq, at, level, logger, message)
select l.run_id, l.attempt, l.seq, clock_timestamp() - l.age * interval '1 second', l.level, l.logger, l.message
from unnest(%(run_ids)s::uuid[], %(attempts)s::int[], %(seqs)s::int[], %(ages)s::float8[], %(levels)s::text[], %(loggers)s::text[], %(messages)s::text[])
    as l (run_id, attempt, seq, age, level, logger, message)
join job_runs r on r.id = l.run_id and r.attempt = l.attempt and r.server_id = %(server_id)s and r.status::text = 'running'
on conflict do nothing;
