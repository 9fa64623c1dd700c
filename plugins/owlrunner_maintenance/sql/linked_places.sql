-- Where rows are that belong to these without a foreign key, in batches, by the table that stores them, which may be a
-- partition. Many batches at once, because the beginning of an index is slow to read where much has just been deleted. As
-- text, which is sent back as it came.
with found as (
    select tableoid, ctid from {table} where {column} = any(%(ids)s) limit %(rows)s
),
numbered as (
    select tableoid, ctid, (row_number() over (partition by tableoid) - 1) / %(batch)s as batch from found
)
select n.nspname::text, c.relname::text, array_agg(numbered.ctid)::text
from numbered
join pg_class c on c.oid = numbered.tableoid
join pg_namespace n on n.oid = c.relnamespace
group by n.nspname, c.relname, numbered.batch
order by n.nspname, c.relname, numbered.batch;
