-- What a configured name stands for, and whether it is partitioned in the way that months can be added to.
select
    c.oid::bigint,
    n.nspname::text,
    c.relname::text,
    coalesce(
        c.relkind = 'p' and p.partstrat = 'r' and p.partnatts = 1
            and a.atttypid in ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype),
        false
    ),
    coalesce(a.attname, '')::text,
    space.spcname::text
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
left join pg_partitioned_table p on p.partrelid = c.oid
-- 0, which no attribute has, where the key is an expression.
left join pg_attribute a on a.attrelid = c.oid and a.attnum = p.partattrs[0]
left join pg_tablespace space on space.oid = c.reltablespace
where c.oid = to_regclass(coalesce(quote_ident(%(schema)s::text) || '.', '') || quote_ident(%(name)s::text));
