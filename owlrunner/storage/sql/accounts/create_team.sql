-- A new team, by the operator. No row: the slug is taken (by a deleted team perhaps, whose rows are still there).
with made as (
    insert into teams (name, slug) values (%(name)s, %(slug)s)
    on conflict (slug) do nothing
    returning id, name, slug
),
audit as (
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata)
    select id, 'system', 'operator', 'create', 'team', id::text, jsonb_build_object('name', name) from made
)
select id, name, slug from made;
