-- The table of what has been applied, by the core ('owlrunner') and by each plugin. Run under the migration lock.
create table if not exists owlrunner_migrations (
    owner text not null,
    number integer not null,
    name text not null,
    -- Whether servers that do not know this migration may go on, and start: what makes an upgrade one by one possible.
    compatible boolean not null default false,
    applied_at timestamptz not null default now(),
    -- SHA-256 of the file: one that was changed after it had been applied is found out.
    checksum text,
    primary key (owner, number)
);

-- Tables from before there were these columns. Looked up first: the lock that alter takes would keep every server from starting
-- as long as the migration lasts.
do $$ begin
    if not exists (select from pg_attribute where attrelid = 'owlrunner_migrations'::regclass and attname = 'compatible') then
        alter table owlrunner_migrations add column compatible boolean not null default false;
    end if;
    if not exists (select from pg_attribute where attrelid = 'owlrunner_migrations'::regclass and attname = 'checksum') then
        alter table owlrunner_migrations add column checksum text;
    end if;
end $$;
