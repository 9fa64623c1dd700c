-- Give a deleted project another slug, so that a new one can have it. The deleted one stays until the cleanup takes it, with its runs.
-- The id makes it unique, and no project can be given a slug with ~ in it; there is room for both in the column.
update projects set slug = left(slug, 218) || '~' || id::text
where team_id = %(team_id)s::uuid and slug = %(slug)s and deleted_at is not null;
