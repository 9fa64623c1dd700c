-- The indexes of a table with the columns that they sort by. One over expressions or over a part of the rows is listed without
-- columns: it stands for no other.
select
    c.relname::text,
    i.indisvalid,
    case when i.indpred is null and i.indexprs is null and am.amname = 'btree' then array(
        select a.attname::text
        from unnest(i.indkey) with ordinality as k (attnum, position)
        join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
        where k.position <= i.indnkeyatts
        order by k.position
    ) else '{{}}' end
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_am am on am.oid = c.relam
where i.indrelid = %(table)s::oid;
