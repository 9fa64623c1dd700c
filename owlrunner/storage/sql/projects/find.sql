-- A project by its id, or by the slugs of team and project: "team/project".
select p.id, p.team_id, p.name, p.slug, p.created_at
from projects p join teams t on t.id = p.team_id
where (p.id::text = %(project)s or t.slug || '/' || p.slug = %(project)s) and p.deleted_at is null and t.deleted_at is null;
