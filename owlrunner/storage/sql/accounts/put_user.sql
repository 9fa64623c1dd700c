-- A user, new or known. DO UPDATE rather than DO NOTHING, because only it returns the row that is there.
insert into users (email, name, created_at, updated_at) values (%(email)s, %(name)s, owl_now(), owl_now())
on conflict (email) do update set email = excluded.email
returning id, (xmax = 0) as created;
