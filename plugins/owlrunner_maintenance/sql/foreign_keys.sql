-- Every foreign key of the database, with its columns in order. Those that partitions take over from their parents are left
-- out: the parent's stands for them.
select
    child.oid::bigint, child_schema.nspname::text, child.relname::text,
    parent.oid::bigint, parent_schema.nspname::text, parent.relname::text,
    array(
        select a.attname::text
        from unnest(k.conkey) with ordinality as u (attnum, position)
        join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.attnum
        order by u.position
    ),
    array(
        select a.attname::text
        from unnest(k.confkey) with ordinality as u (attnum, position)
        join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.attnum
        order by u.position
    ),
    k.confdeltype::text
from pg_constraint k
join pg_class child on child.oid = k.conrelid
join pg_namespace child_schema on child_schema.oid = child.relnamespace
join pg_class parent on parent.oid = k.confrelid
join pg_namespace parent_schema on parent_schema.oid = parent.relnamespace
where k.contype = 'f' and k.conparentid = 0
order by child_schema.nspname, child.relname, k.conname;
