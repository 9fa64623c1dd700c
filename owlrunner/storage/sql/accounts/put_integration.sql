-- Connect a project to a provider, anew where it was connected before, even if that has been deleted.
insert into project_integrations (project_id, provider, config) values (%(project_id)s, %(provider)s, %(config)s::jsonb)
on conflict (project_id, provider) do update set config = excluded.config, enabled = true, updated_at = owl_now(), deleted_at = null
returning id;
