-- The member who stands for a team where nobody is named: its first owner, else its first admin.
select user_id from team_members where team_id = %(team_id)s and role in ('owner', 'admin')
order by role, joined_at, user_id limit 1;
