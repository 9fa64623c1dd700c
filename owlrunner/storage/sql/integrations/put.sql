-- Connect a project to a provider, by the operator. Where it is connected, the keys that are given replace those of the same name,
-- and the others stay. What was disabled stays so unless asked, and what was deleted begins anew.
with put as (
    insert into project_integrations as there (project_id, provider, config) values (%(project_id)s, %(provider)s, %(config)s::jsonb)
    on conflict (project_id, provider) do update set
        -- || would make an array of anything but two objects.
        config = case when there.deleted_at is null and jsonb_typeof(there.config) = 'object' then there.config else '{}' end || excluded.config,
        enabled = there.enabled or there.deleted_at is not null or %(enable)s,
        updated_at = owl_now(),
        deleted_at = null
    returning id, project_id, provider, enabled, (xmax = 0) as created
),
audit as (
    -- Never the configuration: it holds secrets.
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata)
    select p.team_id, 'system', 'operator', case when put.created then 'create' else 'update' end::audit_action, 'integration', put.id::text,
        jsonb_build_object('provider', put.provider, 'project_id', put.project_id)
    from put join projects p on p.id = put.project_id
)
select id, enabled from put;
