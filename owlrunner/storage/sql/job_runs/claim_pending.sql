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
    select o.*, first.*
    from offered o
    cross join lateral (
        select priority, run_at from job_runs
        where status = 'pending' and not set_aside and job_type = o.job_type
        order by priority desc, run_at limit 1
    ) as first
    union all
    select w.job_type, w.fingerprint, w.most, next.*
    from waiting w
    cross join lateral (
        select priority, run_at from job_runs
        where status = 'pending' and not set_aside and job_type = w.job_type and priority < w.priority
        order by priority desc, run_at limit 1
    ) as next
),
due as (
    select r.id, w.priority, r.run_at, w.most, row_number() over (partition by w.job_type order by w.priority desc, r.run_at, r.id) as number
    from waiting w
    cross join lateral (
        select r.id, r.run_at from job_runs r
        where r.status = 'pending' and not r.set_aside and r.job_type = w.job_type and r.priority = w.priority and r.run_at <= owl_now()
            -- What we could not read waits for another server.
            and (r.unreadable_by is null or w.fingerprint <> all(r.unreadable_by))
            -- A project that was deleted while the run was being inserted.
            and (r.project_id is null or exists (
                select from projects p join teams t on t.id = p.team_id
                where p.id = r.project_id and p.deleted_at is null and t.deleted_at is null))
        order by r.run_at, r.id
        limit least(w.most, %(room)s)
        -- Locked rows are being taken by somebody else.
        for update skip locked
    ) as r
    where w.run_at <= owl_now()
),
chosen as (
    select id from due where number <= most order by priority desc, run_at, id limit %(room)s
)
update job_runs r
set status = 'running', server_id = %(server_id)s, attempt = r.attempt + 1, started_at = owl_now(), progress = null
-- An array instead of a join: nobody can tell the planner how many are due.
where r.id = any(array(select id from chosen))
returning r.id, r.job_type, r.project_id, r.team_id, r.params, r.attempt, r.max_attempts;
