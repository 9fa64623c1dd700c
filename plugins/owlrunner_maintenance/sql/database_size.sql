-- What the whole database takes on disk: all schemas, indexes, and dead space too.
select pg_database_size(current_database());
