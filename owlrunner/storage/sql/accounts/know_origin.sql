-- Remember from where somebody has signed in with an address: from which browser, or a program from which client. The latest few. The key
-- that the browser had until now is forgotten.
with replaced as (
    delete from known_origins where email = %(email)s and mark = 'browser:' || %(instead_of)s::text
),
known as (
    insert into known_origins (email, mark, used_at)
    select %(email)s, mark, owl_now()
    from coalesce('browser:' || %(browser)s::text, 'client:' || %(client)s::text) as mark
    where mark is not null
    on conflict (email, mark) do update set used_at = excluded.used_at
)
delete from known_origins k
where email = %(email)s
    and used_at < (select min(used_at) from (
        select used_at from known_origins where email = k.email order by used_at desc limit %(most)s) as latest);
