-- The columns of a table that are written: those that are not generated.
select attname::text
from pg_attribute
where attrelid = %(table)s::oid and attnum > 0 and not attisdropped and attgenerated = ''
order by attnum;
