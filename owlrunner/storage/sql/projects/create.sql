-- A new project of a team that is not deleted. No row: the team has one with that slug.
with made as (
    insert into projects (team_id, name, slug)
    select id, %(name)s, %(slug)s from teams where id = %(team_id)s::uuid and deleted_at is null
    on conflict (team_id, slug) do nothing
    returning id, team_id, name, slug, created_at
),
audit as (
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata, client, user_agent)
    select team_id, %(audit_actor_type)s::audit_actor_type, %(audit_actor_id)s, 'create', 'project', id::text,
        jsonb_build_object('name', name, 'slug', slug), %(audit_client)s, %(audit_user_agent)s
    from made
)
select id, team_id, name, slug, created_at from made;
