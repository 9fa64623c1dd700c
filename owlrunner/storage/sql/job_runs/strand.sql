-- Which job types have runs that no living server can execute, and have not been reported since that began? Returns each with its oldest such
-- run, and whether a living server offers it and just cannot read the params: then it counts at once, and otherwise when it has been due for
-- so long. The row in stranded_job_types is what makes one server of several report it; it goes when that is over.
--
-- Two loose scans, over job types and then over the priorities of those that are stranded: a backlog costs nothing.
with recursive waiting as (
    (select set_aside, job_type from job_runs where status = 'pending' order by set_aside, job_type limit 1)
    union all
    select next.*
    from waiting w
    cross join lateral (
        select set_aside, job_type from job_runs
        where status = 'pending' and (set_aside, job_type) > (w.set_aside, w.job_type)
        order by set_aside, job_type limit 1
    ) as next
),
offered as (
    select unnest(job_types) as job_type from servers where buried_at is null and lease_expires_at > owl_now()
),
stranded as (
    select w.job_type, oldest.id, w.set_aside as offered
    from waiting w
    cross join lateral (
        with recursive priorities as (
            (select priority, run_at, id from job_runs
             where status = 'pending' and set_aside = w.set_aside and job_type = w.job_type order by priority desc, run_at limit 1)
            union all
            select next.*
            from priorities p
            cross join lateral (
                select priority, run_at, id from job_runs
                where status = 'pending' and set_aside = w.set_aside and job_type = w.job_type and priority < p.priority
                order by priority desc, run_at limit 1
            ) as next
        )
        select id from priorities
        where w.set_aside or run_at <= owl_now() - %(after)s * interval '1 second'
        order by run_at limit 1
    ) as oldest
    -- What is set aside waits for whoever offers it; where nobody does it is due for nobody.
    where w.set_aside = (w.job_type in (select job_type from offered))
),
over as (
    delete from stranded_job_types t where t.job_type not in (select job_type from stranded)
),
fresh as (
    insert into stranded_job_types (job_type) select job_type from stranded on conflict do nothing returning job_type
)
select stranded.job_type, stranded.id, stranded.offered from fresh join stranded using (job_type);
