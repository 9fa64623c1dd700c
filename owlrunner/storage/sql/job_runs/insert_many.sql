-- Create many pending runs, and for each whose slot is taken find the run that has it: insert_pending.sql for a whole list.
--
-- Sorted, so that two lists which name the same slots wait for each other instead of dying in a deadlock. A list must not name one
-- slot twice, because one statement cannot meet its own new row; the caller sees to that. What belongs to no project of the team is left out.
with wanted as materialized (
    select item.*
    from rows from (
        json_to_recordset(%(runs)s::json) as (
            id uuid, job_type text, project_id uuid, triggered_by text, params text, notify boolean, priority smallint, exclusive boolean,
            requeue_on_restart boolean, max_attempts integer, run_at timestamptz, delay interval
        )
    ) with ordinality as item (
        id, job_type, project_id, triggered_by, params, notify, priority, exclusive, requeue_on_restart, max_attempts, run_at, delay, number
    )
),
owned as materialized (
    select wanted.*, p.team_id
    from wanted
    -- The limit keeps everything but the id out: a table that was small when it was analyzed would be searched by the team.
    left join lateral (select id, team_id, deleted_at from projects where id = wanted.project_id limit 1) as p
        on p.team_id = %(team_id)s::uuid and p.deleted_at is null
        and exists (select from teams where id = %(team_id)s::uuid and deleted_at is null)
    where wanted.project_id is null or p.id is not null
),
run as (
    insert into job_runs (id, job_type, team_id, project_id, triggered_by, params, notify, run_at, priority, exclusive, requeue_on_restart, max_attempts)
    select id, job_type, team_id, project_id, triggered_by, params::jsonb, notify, greatest(coalesce(run_at, owl_now() + delay), owl_now()),
        priority, exclusive, requeue_on_restart, max_attempts
    from owned
    order by job_type, project_id, number
    on conflict (job_type, (coalesce(project_id, '00000000-0000-0000-0000-000000000000'::uuid)))
        where status in ('pending', 'running') and exclusive
        do update set job_type = excluded.job_type
    returning id, job_type, team_id, project_id, (xmax = 0) as created
),
audit as (
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata, client, user_agent)
    select run.team_id, %(audit_actor_type)s::audit_actor_type, %(audit_actor_id)s, 'create', 'job_run', run.id::text,
        jsonb_build_object('job_type', run.job_type, 'project_id', run.project_id), %(audit_client)s, %(audit_user_agent)s
    from run where run.created and %(audit_actor_type)s::text is not null
),
bell as (
    select pg_notify('owlrunner_pending', '') from run where run.created limit 1
)
-- New ones by their number, and others by their slot: to join them here would be to compare each with each.
select number, id in (select id from run where created) as created, id, null as job_type, null as project_id
from owned left join bell on true
union all
select null, false, id, job_type, project_id from run where not created;
