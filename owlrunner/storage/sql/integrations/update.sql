-- Change an integration that the transaction holds; what is null stays as it is.
with changed as (
    update project_integrations
    set config = coalesce(%(config)s::jsonb, config), enabled = coalesce(%(enabled)s::boolean, enabled), updated_at = owl_now()
    where id = %(id)s::uuid
    returning id, project_id, provider, config, enabled, created_at, updated_at
),
audit as (
    -- The names of the keys that have another value, never the values: they are secrets.
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata, client, user_agent)
    select p.team_id, %(audit_actor_type)s::audit_actor_type, %(audit_actor_id)s, 'update', 'integration', changed.id::text,
        jsonb_build_object('provider', changed.provider, 'project_id', changed.project_id, 'config', %(keys)s::text[], 'enabled', %(enabled)s::boolean),
        %(audit_client)s, %(audit_user_agent)s
    from changed join projects p on p.id = changed.project_id
)
select id, project_id, provider, config, enabled, created_at, updated_at from changed;
