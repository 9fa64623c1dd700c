-- What the name of a linked table stands for.
select c.oid::bigint, n.nspname::text, c.relname::text
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'f')
    and c.oid = to_regclass(coalesce(quote_ident(%(schema)s::text) || '.', '') || quote_ident(%(name)s::text));
