-- How many runs of each of these job types are running on all servers.
select job_type, count(*) from job_runs where status = 'running' and job_type = any(%(job_types)s) group by job_type;
