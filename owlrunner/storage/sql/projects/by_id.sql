-- A project by its id. No row: there is none, or it was deleted, or its team was.
select p.id, p.team_id, p.name, p.slug, p.created_at
from projects p join teams t on t.id = p.team_id
where p.id = %(id)s::uuid and p.deleted_at is null and t.deleted_at is null;
