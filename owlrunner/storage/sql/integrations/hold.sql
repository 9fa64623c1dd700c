-- One integration, held until the transaction ends: what it is merged with must not change meanwhile.
select id, project_id, provider, config, enabled, created_at, updated_at from project_integrations
where project_id = %(project_id)s::uuid and provider = %(provider)s and deleted_at is null
for update;
