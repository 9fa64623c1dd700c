-- The tables in which the rows of a linked table are stored: itself, or its partitions down to the last. Not by
-- pg_partition_tree(), which waits for whoever has one of them locked.
with recursive tree as (
    select to_regclass(coalesce(quote_ident(%(schema)s::text) || '.', '') || quote_ident(%(name)s::text))::oid as oid
    union all
    select i.inhrelid from tree join pg_inherits i on i.inhparent = tree.oid
)
select c.oid::bigint, n.nspname::text, c.relname::text, c.oid = (select oid from tree limit 1), c.relkind = 'r'
from tree
join pg_class c on c.oid = tree.oid
join pg_namespace n on n.oid = c.relnamespace
order by c.relname;
