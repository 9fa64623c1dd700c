-- Give a user a role in a team, whatever it was before; as the operator.
with before as (
    select role from team_members where team_id = %(team_id)s and user_id = %(user_id)s
),
given as (
    insert into team_members (team_id, user_id, role) values (%(team_id)s, %(user_id)s, %(role)s::team_role)
    on conflict (team_id, user_id) do update set role = excluded.role
    returning team_id, user_id, role
)
insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, changes, metadata)
select given.team_id, 'system', 'operator', case when before.role is null then 'create' else 'update' end::audit_action, 'team_member',
    given.user_id::text, jsonb_build_object('role', jsonb_build_object('before', before.role, 'after', given.role)), jsonb_build_object('email', u.email)
from given join users u on u.id = given.user_id left join before on true
where given.role is distinct from before.role;
