-- A partition with its indexes and its own partitions. Waits for whoever has it locked.
select coalesce(sum(pg_total_relation_size(relid)), 0)::bigint from pg_partition_tree(%(partition)s::oid::regclass);
