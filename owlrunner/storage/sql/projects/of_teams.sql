-- The projects of some teams, the oldest first.
select id, team_id, name, slug, created_at from projects
where team_id = any(%(team_ids)s::uuid[]) and deleted_at is null
order by created_at, id;
