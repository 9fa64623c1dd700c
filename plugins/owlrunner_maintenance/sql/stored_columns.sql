-- The columns of a partition.
select attname::text
from pg_attribute
where attrelid = %(partition)s::oid and attnum > 0 and not attisdropped
order by attnum;
