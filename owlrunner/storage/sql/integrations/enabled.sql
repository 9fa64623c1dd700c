-- An integration that may be used, by whoever sends its secret, with the team of its project. No row: there is none, or it is disabled.
select p.team_id, i.config
from project_integrations i join projects p on p.id = i.project_id join teams t on t.id = p.team_id
where i.project_id = %(project_id)s::uuid and i.provider = %(provider)s and i.enabled
    and i.deleted_at is null and p.deleted_at is null and t.deleted_at is null;
