-- The projects of a team, by name.
select id, team_id, name, slug, created_at from projects where team_id = %(team_id)s and deleted_at is null order by name, id;
