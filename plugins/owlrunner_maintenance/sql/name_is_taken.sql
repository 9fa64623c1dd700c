-- Whether anything in the schema has this name: tables, indexes, views and sequences share theirs.
select exists (
    select from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %(schema)s and c.relname = %(name)s
);
