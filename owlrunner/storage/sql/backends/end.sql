-- End a backend whose client has given it up, and with it the transaction that it may have open.
select pg_terminate_backend(pid) from pg_stat_activity where pid = %(pid)s and backend_start = %(started)s;
