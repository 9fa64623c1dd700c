-- Seconds until the next pending run of these job types is due (0 or less: one is due now), or null. Asked after a claim found
-- nothing more, to know how long to sleep.
select extract(epoch from min(run_at) - owl_now())::float8 from job_runs where status = 'pending' and job_type = any(%(job_types)s);
