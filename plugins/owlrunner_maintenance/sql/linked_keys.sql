-- What identifies rows that belong to these, and how many bytes each takes. A place may have got a new row since it was looked at:
-- only one that belongs to these counts.
select owl_row.{key}, {stored}
from {table} as owl_row
where owl_row.ctid = any(%(places)s::tid[]) and {column} = any(%(ids)s);
