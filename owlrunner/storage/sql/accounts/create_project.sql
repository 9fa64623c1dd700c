-- A new project. No row: the team has one with that slug, perhaps a deleted one.
insert into projects (team_id, name, slug) values (%(team_id)s, %(name)s, %(slug)s)
on conflict (team_id, slug) do nothing
returning id, team_id, name, slug;
