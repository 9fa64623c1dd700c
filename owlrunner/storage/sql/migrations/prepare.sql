-- The table of what has been applied, by the core ('owlrunner') and by each plugin. Run under the migration lock.
create table if not exists owlrunner_migrations (
    owner text not null,
    number integer not null,
    name text not null,
    applied_at timestamptz not null default now(),
    primary key (owner, number)
);
