-- Who holds this sign-in, one row for each team that is left of theirs (or one row without a team).
select u.id, u.email, u.name, u.created_at, u.updated_at, t.id, t.name, t.slug, m.role
from user_sessions s
join users u on u.id = s.user_id
left join (team_members m join teams t on t.id = m.team_id and t.deleted_at is null) on m.user_id = u.id
where s.token_hash = %(token_hash)s and s.expires_at > owl_now()
order by m.joined_at, t.id;
