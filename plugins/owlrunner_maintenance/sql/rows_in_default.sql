-- How many rows of a range lie in a default partition, counted up to a bound.
select count(*) from (
    select from {partition} where {column} >= {lower} and {column} < {upper} limit %(rows)s
) as found;
