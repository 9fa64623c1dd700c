-- How many rows of a table hang on each of these, and how many bytes they take as they are stored.
select owl_row.{column}, count(*), coalesce(sum({stored}), 0)::bigint
from {table} as owl_row
where owl_row.{column} = any(%(ids)s)
group by owl_row.{column};
