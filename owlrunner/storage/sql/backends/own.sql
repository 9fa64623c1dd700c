-- Which backend executes the statements of this connection. Behind a pooler it is not the one that the client was told.
select pid, backend_start from pg_stat_activity where pid = pg_backend_pid();
