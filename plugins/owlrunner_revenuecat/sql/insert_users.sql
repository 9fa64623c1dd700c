-- Make users of those ids that the project has no user of, and tell which those were.
insert into app_users (project_id, user_id, is_anonymous)
select %(project_id)s, told.user_id, false from unnest(%(user_ids)s::text[]) as told (user_id)
on conflict (project_id, user_id) do nothing
returning user_id;
