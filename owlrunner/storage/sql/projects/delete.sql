-- Delete a project softly: what hangs on it goes when the cleanup takes it. No row: it is not there any more.
with gone as (
    update projects set deleted_at = owl_now() where id = %(id)s::uuid and deleted_at is null
    returning id, team_id, name, slug
),
audit as (
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata, client, user_agent)
    select team_id, %(audit_actor_type)s::audit_actor_type, %(audit_actor_id)s, 'delete', 'project', id::text,
        jsonb_build_object('name', name, 'slug', slug), %(audit_client)s, %(audit_user_agent)s
    from gone
)
select id from gone;
