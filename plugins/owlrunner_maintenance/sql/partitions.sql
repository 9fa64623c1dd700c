-- The partitions of a table and their bounds, by what they hold and not by what they are called. The bounds come as text from
-- the catalogue in the session's zone, which is UTC here; a partition without an end is given one beyond all others that
-- clients can read. A default partition has no bounds. One that is being detached takes no rows any more. Given the table, pg_get_expr()
-- would wait for whoever has it locked; bounds can do without.
select
    c.oid::bigint,
    n.nspname::text,
    c.relname::text,
    c.relkind::text,
    greatest(case when bounds[1] = 'MINVALUE' then '-infinity' else trim(both '''' from bounds[1]) end::timestamptz, '0001-01-02'),
    least(case when bounds[2] = 'MAXVALUE' then 'infinity' else trim(both '''' from bounds[2]) end::timestamptz, '9999-12-30'),
    bounds is null
from pg_inherits i
join pg_class c on c.oid = i.inhrelid
join pg_namespace n on n.oid = c.relnamespace
cross join lateral regexp_match(pg_get_expr(c.relpartbound, 0), '^FOR VALUES FROM [(](.*)[)] TO [(](.*)[)]$') as bounds
where i.inhparent = %(parent)s::oid and not i.inhdetachpending and c.relispartition
order by 5, c.relname;
