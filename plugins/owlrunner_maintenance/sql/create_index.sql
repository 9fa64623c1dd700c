-- An index on a table that is not a partition yet, and empty.
create index {index} on {partition} ({columns});
