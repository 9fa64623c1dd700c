-- Which of these names something in the schema has already, and what: tables, indexes, views and sequences share theirs, and each
-- table comes with a type of its name.
select name, kind
from unnest(%(names)s::text[]) as name
cross join lateral (
    select case c.relkind
        when 'r' then 'table' when 'p' then 'table' when 'f' then 'table' when 'v' then 'view' when 'm' then 'view'
        when 'S' then 'sequence' when 'c' then 'type' else 'index'
    end as kind
    from pg_class c
    where c.relnamespace = to_regnamespace(quote_ident(%(schema)s::text)) and c.relname = name
    union all
    select 'type' from pg_type t
    where t.typnamespace = to_regnamespace(quote_ident(%(schema)s::text)) and t.typname = name
    limit 1
) as taken;
