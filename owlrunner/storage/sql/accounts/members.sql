-- The members of a team, owners first, with how many keys of the team each has made that are good.
select u.id, u.email, u.name, m.role, m.joined_at,
    (select count(*) from api_keys k where k.team_id = m.team_id and k.created_by = u.id and k.deleted_at is null)
from team_members m join users u on u.id = m.user_id
where m.team_id = %(team_id)s
order by m.role, m.joined_at, u.email;
