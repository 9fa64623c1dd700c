-- Create a pending run, or return the active one that holds the slot: one statement, so that of any number of callers at
-- the same instant exactly one creates and all are told the same id.
--
-- DO UPDATE, not DO NOTHING: only it waits for a concurrent winner and returns the winner's row. The assignment changes
-- nothing. A project that is unknown, deleted or of another team yields no row at all.
with owner as (
    select p.id, p.team_id from projects p join teams t on t.id = p.team_id
    where p.id = %(project_id)s::uuid and p.team_id = %(team_id)s::uuid and p.deleted_at is null and t.deleted_at is null
    union all
    select null, null where %(project_id)s::uuid is null
),
run as (
    insert into job_runs (job_type, team_id, project_id, triggered_by, params, notify, run_at, priority, exclusive, requeue_on_restart, max_attempts, schedule, fire_time)
    select %(job_type)s, owner.team_id, owner.id, %(triggered_by)s, %(params)s::jsonb, %(notify)s,
        coalesce(%(run_at)s::timestamptz, owl_now() + %(delay)s::interval, owl_now()),
        %(priority)s, %(exclusive)s, %(requeue_on_restart)s, %(max_attempts)s,
        %(schedule)s, %(fire_time)s
    from owner
    on conflict (job_type, (coalesce(project_id, '00000000-0000-0000-0000-000000000000'::uuid)))
        where status in ('pending', 'running') and exclusive
        do update set job_type = excluded.job_type
    returning *, (xmax = 0) as created
),
audit as (
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata)
    select run.team_id, %(audit_actor_type)s::audit_actor_type, %(audit_actor_id)s, 'create', 'job_run', run.id::text,
        jsonb_build_object('job_type', run.job_type, 'project_id', run.project_id)
    from run where run.created and run.team_id is not null and %(audit_actor_type)s::text is not null
),
bell as (
    -- Also for what is due later: a sleeping worker has to learn that its next due time has changed.
    select pg_notify('owlrunner_pending', '') from run where run.created
)
select run.created, run.id, run.job_type, run.status, run.team_id, run.project_id, run.triggered_by, run.params, run.progress, run.result, run.error,
    run.notify, run.started_at, run.completed_at, run.created_at, run.run_at, run.priority, run.attempt, run.max_attempts,
    run.server_id, run.cancel_requested_at, run.cancelled_by
from run left join bell on true;
