-- Create many pending runs, and for each whose slot is taken find the run that has it: insert_pending.sql for a whole list.
--
-- Sorted, so that two lists which name the same slots wait for each other instead of dying in a deadlock. A list must not name one
-- slot twice, because one statement cannot meet its own new row; the caller sees to that. What belongs to no project of the team is left out.
with wanted as materialized (
    select owl_uuid7() as id, item.*
    from rows from (
        json_to_recordset(%(runs)s::json) as (
            job_type text, project_id uuid, triggered_by text, params text, notify boolean, priority smallint, exclusive boolean,
            requeue_on_restart boolean, max_attempts integer, run_at timestamptz, delay interval
        )
    ) with ordinality as item (
        job_type, project_id, triggered_by, params, notify, priority, exclusive, requeue_on_restart, max_attempts, run_at, delay, number
    )
),
owned as materialized (
    select wanted.*, p.team_id
    from wanted
    left join (projects p join teams t on t.id = p.team_id and t.deleted_at is null)
        on p.id = wanted.project_id and p.team_id = %(team_id)s::uuid and p.deleted_at is null
    where wanted.project_id is null or p.id is not null
),
run as (
    insert into job_runs (id, job_type, team_id, project_id, triggered_by, params, notify, run_at, priority, exclusive, requeue_on_restart, max_attempts)
    select id, job_type, team_id, project_id, triggered_by, params::jsonb, notify, coalesce(run_at, owl_now() + delay, owl_now()),
        priority, exclusive, requeue_on_restart, max_attempts
    from owned
    order by job_type, project_id, number
    on conflict (job_type, (coalesce(project_id, '00000000-0000-0000-0000-000000000000'::uuid)))
        where status in ('pending', 'running') and exclusive
        do update set job_type = excluded.job_type
    returning id, job_type, team_id, coalesce(project_id, '00000000-0000-0000-0000-000000000000') as slot, project_id, (xmax = 0) as created
),
audit as (
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata)
    select run.team_id, %(audit_actor_type)s::audit_actor_type, %(audit_actor_id)s, 'create', 'job_run', run.id::text,
        jsonb_build_object('job_type', run.job_type, 'project_id', run.project_id)
    from run where run.created and run.team_id is not null and %(audit_actor_type)s::text is not null
),
bell as (
    select pg_notify('owlrunner_pending', '') from run where run.created limit 1
)
select owned.number, mine.id is not null, coalesce(mine.id, other.id)
from owned
left join run mine on mine.id = owned.id
left join run other on not other.created and other.job_type = owned.job_type
    and other.slot = coalesce(owned.project_id, '00000000-0000-0000-0000-000000000000') and owned.exclusive
left join bell on true;
