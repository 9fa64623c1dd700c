-- Take up to so many due runs of the job types that this server offers, of each job type up to its own limit, the highest priority and
-- then the longest waiting first. A server that has been marked dead, or whose lease has run out, takes nothing.
--
-- A loose scan of the claim index: from the first run of each job type and priority to the first of the next priority. So runs of other
-- job types, and those of a far future, cost nothing, however many they are.
with recursive offered as (
    select * from unnest(%(job_types)s::text[], %(fingerprints)s::text[], %(limits)s::int[]) as o (job_type, fingerprint, most)
    where most > 0
        and exists (select from servers where id = %(server_id)s and buried_at is null and lease_expires_at > owl_now())
),
waiting as (
    select o.job_type, first.*
    from offered o
    cross join lateral (
        select priority, run_at, id from job_runs
        where status = 'pending' and not set_aside and job_type = o.job_type
        order by priority desc, run_at, id limit 1
    ) as first
    union all
    select w.job_type, next.*
    from waiting w
    cross join lateral (
        select priority, run_at, id from job_runs
        where status = 'pending' and not set_aside and job_type = w.job_type and priority < w.priority
        order by priority desc, run_at, id limit 1
    ) as next
),
due as (
    select taken.*
    from offered o
    cross join lateral (
        select r.id, w.priority, r.run_at
        from (select * from waiting where job_type = o.job_type and run_at <= owl_now() order by priority desc) as w
        cross join lateral (
            select r.id, r.run_at from job_runs r
            where r.status = 'pending' and not r.set_aside and r.job_type = w.job_type and r.priority = w.priority
                and r.run_at <= owl_now()
                -- Not from the beginning: what was claimed before is still in the index, and has been passed over once.
                and (r.run_at, r.id) >= (w.run_at, w.id)
                -- What we could not read waits for another server.
                and (r.unreadable_by is null or o.fingerprint <> all(r.unreadable_by))
                -- A project that was deleted while the run was being inserted. A value, because an exists would be hashed over all projects.
                and (r.project_id is null or (
                    select p.deleted_at is null and t.deleted_at is null
                    from projects p join teams t on t.id = p.team_id where p.id = r.project_id))
            order by r.run_at, r.id
            limit least(o.most, %(room)s)
            -- Locked rows are being taken by somebody else.
            for update skip locked
        ) as r
        -- Over all priorities, the highest first.
        limit o.most
    ) as taken
),
chosen as (
    select id from due order by priority desc, run_at, id limit %(room)s
)
update job_runs r
set status = 'running', server_id = %(server_id)s, attempt = r.attempt + 1, started_at = owl_now(), progress = null
-- An array instead of a join: nobody can tell the planner how many are due.
where r.id = any(array(select id from chosen))
returning r.id, r.job_type, r.project_id, r.team_id, r.params, r.attempt, r.max_attempts;
