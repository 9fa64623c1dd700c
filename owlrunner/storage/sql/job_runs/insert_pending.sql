-- Create a pending run, or return the active one that holds the slot: one statement, so that of any number of callers at
-- the same instant exactly one creates and all are told the same id.
--
-- A run that is seen to have the slot is told at once: who triggers again and again then writes nothing. What decides is the
-- index. DO UPDATE, not DO NOTHING: only it waits for a concurrent winner and returns the winner's row. The assignment
-- changes nothing. A project that is unknown, deleted or of another team yields no row at all.
with owner as (
    -- The limit keeps everything but the id out, as in insert_many.sql.
    select p.id, p.team_id from (select id, team_id, deleted_at from projects where id = %(project_id)s::uuid limit 1) as p
    where p.team_id = %(team_id)s::uuid and p.deleted_at is null
        and exists (select from teams where id = %(team_id)s::uuid and deleted_at is null)
    union all
    select null, null where %(project_id)s::uuid is null
),
active as (
    select r.id from job_runs r
    where r.job_type = %(job_type)s and r.status in ('pending', 'running') and r.exclusive and %(exclusive)s
        and coalesce(r.project_id, '00000000-0000-0000-0000-000000000000'::uuid)
            = coalesce(%(project_id)s::uuid, '00000000-0000-0000-0000-000000000000'::uuid)
        and exists (select from owner)
),
new as (
    insert into job_runs (id, job_type, team_id, project_id, triggered_by, params, notify, run_at, priority, exclusive, requeue_on_restart, max_attempts, schedule, fire_time)
    select %(id)s, %(job_type)s, owner.team_id, owner.id, %(triggered_by)s, %(params)s::jsonb, %(notify)s,
        -- A time in the past is now: it must not be claimed before what has really waited.
        greatest(coalesce(%(run_at)s::timestamptz, owl_now() + %(delay)s::interval), owl_now()),
        %(priority)s, %(exclusive)s, %(requeue_on_restart)s, %(max_attempts)s,
        %(schedule)s, %(fire_time)s
    from owner
    where not exists (select from active)
    on conflict (job_type, (coalesce(project_id, '00000000-0000-0000-0000-000000000000'::uuid)))
        where status in ('pending', 'running') and exclusive
        do update set job_type = excluded.job_type
    returning id, team_id, project_id, job_type, params, created_at, run_at, (xmax = 0) as created
),
told as (
    -- The bell also for what is due later: a sleeping worker has to learn that its next due time has changed.
    select pg_notify('owlrunner_pending', ''),
        case when %(audit_actor_type)s::text is not null then
            owl_audit_trigger(new.id, new.job_type, new.team_id, new.project_id, %(audit_actor_type)s::audit_actor_type, %(audit_actor_id)s,
                %(audit_client)s, %(audit_user_agent)s)
        end
    from new where new.created
)
select false as created, id, null as params, null as created_at, null as run_at from active
union all
select new.created, new.id, new.params, new.created_at, new.run_at from new left join told on true;
