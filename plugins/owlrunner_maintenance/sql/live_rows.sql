-- How many rows the sampled pages hold, and how many bytes these take with their line pointers. The size of a whole row is
-- exact while none of its values is compressed or stored outside, which PostgreSQL begins with at some 2000 bytes; beyond,
-- the stored sizes are added up. Always the same pages, so that two looks at the same rows agree.
select count(*), coalesce(sum(
    case when whole < 2000 then (whole + 7) / 8 * 8 + 4 else stored + 36 end
), 0)::bigint
from (
    select pg_column_size(owl_row.*) as whole, {stored} as stored
    from {partition} as owl_row tablesample system (%(percent)s::real) repeatable (0)
) as sampled;
