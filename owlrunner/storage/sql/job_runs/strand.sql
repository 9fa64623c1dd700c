-- Which job types have due runs that no living server can execute, and have not been reported since that began? Returns each with its oldest such
-- run, and whether a living server offers it and just cannot read the params. The row in stranded_job_types is what makes one server of several
-- report it; it goes when that is over.
--
-- Two loose scans, over job types and then over the priorities of those that nobody offers: a backlog costs nothing.
with recursive waiting as (
    (select job_type from job_runs where status = 'pending' and not set_aside order by job_type limit 1)
    union all
    select next.job_type from waiting w
    cross join lateral (
        select job_type from job_runs where status = 'pending' and not set_aside and job_type > w.job_type order by job_type limit 1
    ) as next
),
unreadable as (
    (select job_type from job_runs where status = 'pending' and set_aside order by job_type limit 1)
    union all
    select next.job_type from unreadable u
    cross join lateral (
        select job_type from job_runs where status = 'pending' and set_aside and job_type > u.job_type order by job_type limit 1
    ) as next
),
offered as (
    select distinct offer.job_type
    from servers s cross join unnest(s.job_types) as offer (job_type)
    where s.buried_at is null and s.lease_expires_at > owl_now()
),
stranded as (
    select w.job_type, oldest.id, false as offered
    from waiting w
    cross join lateral (
        with recursive priorities as (
            (select priority, run_at, id from job_runs
             where status = 'pending' and not set_aside and job_type = w.job_type order by priority desc, run_at, id limit 1)
            union all
            select next.* from priorities p
            cross join lateral (
                select priority, run_at, id from job_runs
                where status = 'pending' and not set_aside and job_type = w.job_type and priority < p.priority
                order by priority desc, run_at, id limit 1
            ) as next
        )
        select id from priorities where run_at <= owl_now() - %(after)s * interval '1 second' order by run_at limit 1
    ) as oldest
    where w.job_type not in (select job_type from offered)
    union all
    select u.job_type, oldest.id, true
    from unreadable u
    cross join lateral (select id from job_runs where status = 'pending' and set_aside and job_type = u.job_type limit 1) as oldest
    where u.job_type in (select job_type from offered)
),
over as (
    delete from stranded_job_types t where t.job_type not in (select job_type from stranded)
),
fresh as (
    insert into stranded_job_types (job_type) select job_type from stranded on conflict do nothing returning job_type
)
select stranded.job_type, stranded.id, stranded.offered from fresh join stranded using (job_type);
