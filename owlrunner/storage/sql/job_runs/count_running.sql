-- How many runs of one job type are running on all servers.
select count(*) from job_runs where status = 'running' and job_type = %(job_type)s;
