-- The oldest rows: where they are stored, their time as text and in seconds, and what they take, counted as in live_rows.sql. One
-- pass over the partition, however many batches then delete them; sizes are looked at for these rows only.
select
    oldest.place::text,
    oldest.moment::text,
    extract(epoch from oldest.moment::timestamptz)::float8,
    case when sized.whole < 2000 then (sized.whole + 7) / 8 * 8 + 4 else sized.stored + 36 end
from (
    select ctid as place, {column} as moment from only {partition} order by {column} limit %(rows)s
) as oldest
cross join lateral (
    select pg_column_size(owl_row.*) as whole, {stored} as stored
    from only {partition} as owl_row
    where owl_row.ctid = oldest.place
) as sized
order by oldest.moment, oldest.place;
