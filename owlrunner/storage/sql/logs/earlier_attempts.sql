-- When the attempts of a run that have ended, the last one of an ended run apart, said their last word: a failed one says why it
-- failed. Each is found by the key, however much it said. The latest twenty.
select n, last.at from job_runs r
cross join lateral generate_series(greatest(1, r.attempt - 20), case when r.status = 'pending' then r.attempt else r.attempt - 1 end) as n
cross join lateral (select at from job_run_logs where run_id = r.id and attempt = n order by seq desc limit 1) as last
where r.id = %(run_id)s
order by n;
