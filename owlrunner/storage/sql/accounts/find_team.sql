-- A team by its id or its slug.
select id, name, slug from teams where (id::text = %(team)s or slug = %(team)s) and deleted_at is null;
