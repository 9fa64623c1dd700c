-- The integrations of a project, by provider, with their configuration: secrets are hidden before anybody sees them.
select id, project_id, provider, config, enabled, created_at, updated_at from project_integrations
where project_id = %(project_id)s::uuid and deleted_at is null
order by provider;
