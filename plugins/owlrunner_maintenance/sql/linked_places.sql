-- Where rows are that belong to these without a foreign key, in batches, by the table that stores them, which may be a
-- partition. Many batches at once, because the beginning of an index is slow to read where much has just been deleted. As
-- text, which is sent back as it came. A batch ends with the row that makes it as big as one may be.
with found as (
    select owl_row.tableoid, owl_row.ctid, {stored} as size
    from {table} as owl_row where {column} = any(%(ids)s) limit %(rows)s
),
numbered as (
    select
        tableoid,
        ctid,
        (row_number() over within - 1) / %(batch)s as batch,
        div(sum(size) over within - size, %(bytes)s) as volume
    from found
    window within as (partition by tableoid order by ctid)
)
select n.nspname::text, c.relname::text, array_agg(numbered.ctid)::text
from numbered
join pg_class c on c.oid = numbered.tableoid
join pg_namespace n on n.oid = c.relnamespace
group by n.nspname, c.relname, numbered.batch, numbered.volume
order by n.nspname, c.relname, numbered.batch, numbered.volume;
