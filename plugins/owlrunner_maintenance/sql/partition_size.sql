-- A partition with its own partitions: what its rows take, dead ones too, and what everything takes. Indexes are never empty.
-- Waits for whoever has it locked. Zeros when it is gone.
select
    coalesce(sum(pg_relation_size(relid)), 0)::bigint,
    coalesce(sum(pg_total_relation_size(relid)), 0)::bigint
from pg_partition_tree(%(partition)s::oid::regclass);
