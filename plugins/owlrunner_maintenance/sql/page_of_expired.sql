-- The next rows of a table by its primary key, and which of them ran out long ago. Each row is looked at once, and no index is
-- needed on the time: what has not run out is little.
select {key}, expires_at < %(expired)s from {table}
where {key} > %(after)s
order by {key}
limit %(rows)s;
