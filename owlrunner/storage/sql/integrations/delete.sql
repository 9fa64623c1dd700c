-- Disconnect a project from a provider; the row goes when the cleanup takes it. No row: there is no connection.
with gone as (
    update project_integrations set deleted_at = owl_now()
    where project_id = %(project_id)s::uuid and provider = %(provider)s and deleted_at is null
    returning id, project_id, provider
),
audit as (
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata, client, user_agent)
    select p.team_id, %(audit_actor_type)s::audit_actor_type, %(audit_actor_id)s, 'delete', 'integration', gone.id::text,
        jsonb_build_object('provider', gone.provider, 'project_id', gone.project_id), %(audit_client)s, %(audit_user_agent)s
    from gone join projects p on p.id = gone.project_id
)
select id from gone;
