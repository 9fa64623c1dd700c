-- A piece of what is too much to go with the rows that it hangs on: as many rows as one batch takes, fewer where they are big, and
-- at least one.
with measured as (
    select owl_row.tableoid as stored_in, owl_row.ctid as place, {stored} as size
    from {table} as owl_row
    where owl_row.{column} = any(%(ids)s)
    order by owl_row.ctid
    limit %(rows)s
),
piece as (
    select stored_in, place
    from (select *, sum(size) over (order by place, stored_in) - size as bytes_before from measured) as summed
    where bytes_before < %(bytes)s
)
delete from {table}
where ctid = any(array(select place from piece)) and (tableoid, ctid) in (select stored_in, place from piece);
