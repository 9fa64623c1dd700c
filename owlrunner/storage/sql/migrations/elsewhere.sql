-- In which schemas beside those of the search_path is a table of what has been applied, and what is the search_path?
select string_agg(n.nspname, ', ' order by n.nspname), current_setting('search_path')
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where c.relname = 'owlrunner_migrations' and c.relkind = 'r' and not pg_table_is_visible(c.oid);
