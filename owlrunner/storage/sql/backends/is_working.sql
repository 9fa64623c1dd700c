-- Is this backend executing a statement? Where activity is not tracked nobody knows, and that counts as yes.
select exists (
    select from pg_stat_activity
    where pid = %(pid)s and backend_start = %(started)s and coalesce(state, 'disabled') not like 'idle%%'
);
