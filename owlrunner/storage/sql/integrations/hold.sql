-- One integration of a project that is not deleted, held until the transaction ends: what it is merged with must not change meanwhile.
select i.id, i.project_id, i.provider, i.config, i.enabled, i.created_at, i.updated_at
from project_integrations i join projects p on p.id = i.project_id
where i.project_id = %(project_id)s::uuid and i.provider = %(provider)s and i.deleted_at is null and p.deleted_at is null
for update of i;
