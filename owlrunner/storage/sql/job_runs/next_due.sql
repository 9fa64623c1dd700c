-- Seconds until the next pending run of these job types is due (0 or less: one is due now), or null. Asked after a claim found
-- nothing more, to know how long to sleep. The same loose scan as in claim_pending.sql.
with recursive waiting as (
    select first.*
    from unnest(%(job_types)s::text[]) as o (job_type)
    cross join lateral (
        select job_type, priority, run_at from job_runs
        where status = 'pending' and not set_aside and job_type = o.job_type
        order by priority desc, run_at limit 1
    ) as first
    union all
    select next.*
    from waiting w
    cross join lateral (
        select job_type, priority, run_at from job_runs
        where status = 'pending' and not set_aside and job_type = w.job_type and priority < w.priority
        order by priority desc, run_at limit 1
    ) as next
)
select extract(epoch from min(run_at) - owl_now())::float8 from waiting;
