-- Sign a user out everywhere, by the operator.
with ended as (
    delete from user_sessions s using users u where u.email = %(email)s and s.user_id = u.id returning s.user_id
),
audit as (
    insert into audit_logs (actor_type, actor_id, action, resource_type, resource_id, metadata)
    select 'system', 'operator', 'delete', 'user_session', user_id::text, jsonb_build_object('sessions', count(*)) from ended group by user_id
)
select user_id from ended;
