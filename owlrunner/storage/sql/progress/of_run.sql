-- How the last attempt of a run came along.
select p.at, p.processed, p.total from job_run_progress p
join job_runs r on r.id = p.run_id and r.attempt = p.attempt
where p.run_id = %(run_id)s
order by p.at;
