-- Connect a project that is not deleted to a provider. A connection that was deleted begins anew, under the same id. No row: there is one.
with made as (
    insert into project_integrations as there (project_id, provider, config)
    select id, %(provider)s, %(config)s::jsonb from projects where id = %(project_id)s::uuid and deleted_at is null
    on conflict (project_id, provider) do update
        set config = excluded.config, enabled = true, updated_at = owl_now(), deleted_at = null
        where there.deleted_at is not null
    returning id, project_id, provider, config, enabled, created_at, updated_at
),
audit as (
    -- Never the configuration: it holds secrets.
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata, client, user_agent)
    select p.team_id, %(audit_actor_type)s::audit_actor_type, %(audit_actor_id)s, 'create', 'integration', made.id::text,
        jsonb_build_object('provider', made.provider, 'project_id', made.project_id), %(audit_client)s, %(audit_user_agent)s
    from made join projects p on p.id = made.project_id
)
select id, project_id, provider, config, enabled, created_at, updated_at from made;
