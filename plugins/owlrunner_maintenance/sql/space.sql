-- What a partition takes: the bytes of its rows, of their parts stored outside, and of everything, with its indexes and the maps of
-- its free space, and the size of a page.
select
    pg_relation_size(c.oid),
    case when c.reltoastrelid = 0 then 0 else pg_total_relation_size(c.reltoastrelid) end,
    pg_total_relation_size(c.oid),
    current_setting('block_size')::integer
from pg_class c
where c.oid = %(partition)s::oid;
