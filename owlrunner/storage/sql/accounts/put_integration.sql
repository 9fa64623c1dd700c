-- Connect a project to a provider, by the operator; anew where it was connected before, even if that has been deleted.
with put as (
    insert into project_integrations (project_id, provider, config) values (%(project_id)s, %(provider)s, %(config)s::jsonb)
    on conflict (project_id, provider) do update set config = excluded.config, enabled = true, updated_at = owl_now(), deleted_at = null
    returning id, project_id, provider, (xmax = 0) as created
),
audit as (
    -- Never the configuration: it holds secrets.
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata)
    select p.team_id, 'system', 'operator', case when put.created then 'create' else 'update' end::audit_action, 'integration', put.id::text,
        jsonb_build_object('provider', put.provider, 'project_id', put.project_id)
    from put join projects p on p.id = put.project_id
)
select id from put;
