-- How many projects a team has.
select count(*) from projects where team_id = %(team_id)s::uuid and deleted_at is null;
