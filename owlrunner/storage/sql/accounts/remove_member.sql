-- Take somebody out of a team. The keys that they made for it go to the heir, or end with the membership: a key stands for the team, and
-- whoever made it is told what it starts. No row comes of somebody who is no member.
with removed as (
    delete from team_members m using users u
    where m.user_id = %(user_id)s and u.id = m.user_id and m.team_id = %(team_id)s
    returning m.team_id, m.user_id, u.email
),
changed as (
    update api_keys k
    set created_by = coalesce(%(heir)s::uuid, k.created_by), updated_at = owl_now(),
        deleted_at = case when %(heir)s::uuid is null then owl_now() end
    from removed
    where k.team_id = removed.team_id and k.created_by = removed.user_id and k.deleted_at is null
    returning k.id, k.team_id, k.name, k.key_type
),
acts as (
    select team_id, 'delete' as action, 'team_member' as resource_type, user_id::text as resource_id, jsonb_build_object('email', email) as metadata
    from removed
    union all
    select team_id, case when %(heir)s::uuid is null then 'delete' else 'update' end, 'api_key', id::text,
        jsonb_build_object('name', name, 'key_type', key_type)
    from changed
),
audit as (
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata, client, user_agent)
    select team_id, %(audit_actor_type)s::audit_actor_type, %(audit_actor_id)s, action::audit_action, resource_type, resource_id, metadata,
        %(audit_client)s, %(audit_user_agent)s
    from acts
)
select array(select name::text from changed order by name) from removed;
