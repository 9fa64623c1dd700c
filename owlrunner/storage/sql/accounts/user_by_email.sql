-- A user with the teams that are left of theirs, one row each (or one row without a team).
select u.id, u.email, u.name, u.created_at, u.updated_at, t.id, t.name, t.slug, m.role
from users u
left join (team_members m join teams t on t.id = m.team_id and t.deleted_at is null) on m.user_id = u.id
where u.email = %(email)s
order by m.joined_at, t.id;
