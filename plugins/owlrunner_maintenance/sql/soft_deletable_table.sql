-- What a configured name stands for, with its primary key, and whether it can be soft-deleted at all.
select
    c.oid::bigint,
    n.nspname::text,
    c.relname::text,
    array(
        select a.attname::text
        from pg_index i
        join pg_attribute a on a.attrelid = c.oid and a.attnum = any(i.indkey)
        where i.indrelid = c.oid and i.indisprimary
    ),
    exists (
        select from pg_attribute a
        where a.attrelid = c.oid and a.attname = %(deleted_at)s and not a.attisdropped
            and a.atttypid in ('timestamptz'::regtype, 'timestamp'::regtype)
    )
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p')
    and c.oid = to_regclass(coalesce(quote_ident(%(schema)s::text) || '.', '') || quote_ident(%(name)s::text));
