-- Give a project another name. No row: it is not there any more.
with old as (
    select id, name from projects where id = %(id)s::uuid and deleted_at is null for update
),
changed as (
    update projects p set name = %(name)s from old where p.id = old.id
    returning p.id, p.team_id, p.name, p.slug, p.created_at, old.name as before
),
audit as (
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, changes, client, user_agent)
    select team_id, %(audit_actor_type)s::audit_actor_type, %(audit_actor_id)s, 'update', 'project', id::text,
        jsonb_build_object('name', jsonb_build_object('before', before, 'after', name)), %(audit_client)s, %(audit_user_agent)s
    from changed
    where before <> name
)
select id, team_id, name, slug, created_at from changed;
