-- The people who use the demo project's apps. Who is there already stays as they are: a sync may have written to them.
insert into app_users (project_id, user_id, is_anonymous)
select %(project_id)s, person.user_id, person.is_anonymous
from unnest(%(user_ids)s::text[], %(anonymous)s::boolean[]) as person (user_id, is_anonymous)
on conflict (project_id, user_id) do nothing;
