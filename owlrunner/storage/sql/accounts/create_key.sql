-- Store a new API key (its hash only) and note it in the audit log. No row: whoever makes it is no admin of the team any more.
-- Both rows are locked, so that either this waits for the end of a membership, or who ends it waits for this and ends the key. The user
-- before them, as whoever deletes a user does: the key refers to the user, and would wait for that row at last.
with person as materialized (
    select id from users where id = %(created_by)s for key share
),
team as (
    select t.id from person, teams t where t.id = %(team_id)s for share of t
),
maker as (
    select m.user_id from team_members m
    where m.team_id = (select id from team) and m.user_id = %(created_by)s and m.role in ('owner', 'admin')
    for share
),
made as (
    insert into api_keys (key_hash, key_prefix, key_type, team_id, name, created_by, permissions, expires_at, created_at, updated_at)
    select %(key_hash)s, %(key_prefix)s, %(key_type)s::api_key_type, %(team_id)s, %(name)s, %(created_by)s, %(permissions)s::jsonb,
        owl_now() + %(expires_in_days)s::int * interval '1 day', owl_now(), owl_now()
    where %(by_operator)s or exists (select from maker)
    returning *
),
audit as (
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata, client, user_agent)
    select team_id, case when %(by_operator)s then 'system' else 'user' end::audit_actor_type,
        case when %(by_operator)s then 'operator' else created_by::text end, 'create', 'api_key', id::text,
        jsonb_build_object('name', name, 'key_type', key_type), %(client)s, %(user_agent)s
    from made
)
select made.id, made.key_prefix, made.key_type, made.team_id, made.name, made.created_by, made.permissions, made.created_at, made.updated_at,
    made.last_used_at, made.expires_at, u.email
from made join users u on u.id = made.created_by;
