-- A new team. No row: the slug is taken (by a deleted team perhaps, whose rows are still there).
insert into teams (name, slug) values (%(name)s, %(slug)s)
on conflict (slug) do nothing
returning id, name, slug;
