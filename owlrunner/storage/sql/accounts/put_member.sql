-- Give a user a role in a team, whatever it was before.
insert into team_members (team_id, user_id, role) values (%(team_id)s, %(user_id)s, %(role)s::team_role)
on conflict (team_id, user_id) do update set role = excluded.role;
