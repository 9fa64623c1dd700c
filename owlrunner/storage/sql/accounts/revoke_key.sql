-- Revoke an API key and note it in the audit log; by the operator where no user is named. No row: somebody was quicker.
with revoked as (
    update api_keys set deleted_at = owl_now(), updated_at = owl_now() where id = %(id)s and deleted_at is null
    returning id, team_id, name, key_type
),
audit as (
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata, client, user_agent)
    select team_id, case when %(user_id)s::uuid is null then 'system' else 'user' end::audit_actor_type,
        coalesce(%(user_id)s::uuid::text, 'operator'), 'delete', 'api_key', id::text, jsonb_build_object('name', name, 'key_type', key_type),
        %(client)s, %(user_agent)s
    from revoked
)
select id from revoked;
