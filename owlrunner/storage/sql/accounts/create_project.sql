-- A new project, by the operator. No row: the team has one with that slug, perhaps a deleted one.
with made as (
    insert into projects (team_id, name, slug) values (%(team_id)s, %(name)s, %(slug)s)
    on conflict (team_id, slug) do nothing
    returning id, team_id, name, slug
),
audit as (
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata)
    select team_id, 'system', 'operator', 'create', 'project', id::text, jsonb_build_object('name', name) from made
)
select id, team_id, name, slug from made;
