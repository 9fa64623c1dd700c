-- The plain tables that hold the rows of a partition which is partitioned further.
select c.oid::bigint, n.nspname::text, c.relname::text
from pg_partition_tree(%(partition)s::oid::regclass) as tree
join pg_class c on c.oid = tree.relid
join pg_namespace n on n.oid = c.relnamespace
where tree.isleaf and c.relkind = 'r'
order by n.nspname, c.relname;
