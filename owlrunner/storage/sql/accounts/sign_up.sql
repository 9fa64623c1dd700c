-- A new user and the team of their own, together or not at all. The team's slug ends in the user's id, so that it is free.
with person as (
    insert into users (email, name, created_at, updated_at) values (%(email)s, %(name)s, owl_now(), owl_now())
    on conflict (email) do nothing
    returning id, name
),
team as (
    insert into teams (name, slug) select name || '''s Team', %(slug)s || '-' || left(id::text, 8) from person
    returning id, name
),
audit as (
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata, client, user_agent)
    select team.id, 'user', person.id::text, 'create', 'team', team.id::text, jsonb_build_object('name', team.name), %(client)s, %(user_agent)s
    from person, team
)
insert into team_members (team_id, user_id, role) select team.id, person.id, 'owner' from person, team;
