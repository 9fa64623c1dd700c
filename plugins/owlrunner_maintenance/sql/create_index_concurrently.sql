-- An index on a partition that rows go into meanwhile: slower, and nobody waits for it.
create index concurrently if not exists {index} on {partition} ({columns});
