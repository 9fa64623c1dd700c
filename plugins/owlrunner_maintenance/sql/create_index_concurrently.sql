-- An index on a partition that rows go into meanwhile: slower, and nobody waits for it. An error where the name is taken: that may
-- be another table's index.
create index concurrently {index} on {partition} ({columns});
