-- Of which of these job types is a run due? Their limits cost a lock, which is not taken for nothing.
select o.job_type
from unnest(%(job_types)s::text[]) as o (job_type)
where (
    with recursive waiting as (
        (select priority, run_at from job_runs
         where status = 'pending' and not set_aside and job_type = o.job_type
         order by priority desc, run_at limit 1)
        union all
        select next.*
        from waiting w
        cross join lateral (
            select priority, run_at from job_runs
            where status = 'pending' and not set_aside and job_type = o.job_type and priority < w.priority
            order by priority desc, run_at limit 1
        ) as next
    )
    select min(run_at) from waiting
) <= owl_now();
