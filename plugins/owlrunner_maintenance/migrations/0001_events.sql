-- The product's events, what is defined on them, and invitations. Names and types follow OwlMetry's. What is there already
-- stays as it is, so that a database which an application has made itself can be looked after too.
--
-- Nothing here refers to apps or their users: those tables come with another plugin, later, or not at all.

do $$ begin
    if to_regtype('environment') is null then
        create type environment as enum ('ios', 'ipados', 'macos', 'android', 'web', 'backend');
    end if;
    if to_regtype('log_level') is null then
        create type log_level as enum ('info', 'debug', 'warn', 'error');
    end if;
    if to_regtype('metric_phase') is null then
        create type metric_phase as enum ('start', 'complete', 'fail', 'cancel', 'record');
    end if;
end $$;

create table if not exists events (
    id uuid default gen_random_uuid(),
    app_id uuid not null,
    client_event_id uuid,
    session_id uuid not null,
    user_id varchar(255),
    api_key_id uuid,
    level log_level not null,
    source_module text,
    message text not null,
    screen_name varchar(255),
    custom_attributes jsonb,
    environment environment,
    os_version varchar(50),
    app_version varchar(50),
    device_model varchar(100),
    build_number varchar(50),
    locale varchar(20),
    is_dev boolean not null default false,
    experiments jsonb,
    "timestamp" timestamptz not null,
    received_at timestamptz not null default now()
) partition by range ("timestamp");

create table if not exists metric_events (
    id uuid default gen_random_uuid(),
    app_id uuid not null,
    session_id uuid not null,
    user_id varchar(255),
    api_key_id uuid,
    metric_slug varchar(255) not null,
    phase metric_phase not null,
    tracking_id uuid,
    duration_ms integer,
    error text,
    attributes jsonb,
    environment environment,
    os_version varchar(50),
    app_version varchar(50),
    device_model varchar(100),
    build_number varchar(50),
    is_dev boolean not null default false,
    client_event_id uuid,
    "timestamp" timestamptz not null,
    received_at timestamptz not null default now()
) partition by range ("timestamp");

create table if not exists funnel_events (
    id uuid default gen_random_uuid(),
    app_id uuid not null,
    session_id uuid not null,
    user_id varchar(255),
    api_key_id uuid,
    step_name varchar(255) not null,
    message text not null,
    screen_name varchar(255),
    custom_attributes jsonb,
    experiments jsonb,
    environment environment,
    os_version varchar(50),
    app_version varchar(50),
    device_model varchar(100),
    build_number varchar(50),
    is_dev boolean not null default false,
    client_event_id uuid,
    "timestamp" timestamptz not null,
    received_at timestamptz not null default now()
) partition by range ("timestamp");

-- The first partitions: an event may come in before partition_creation has had its first turn, and one that finds no
-- partition spoils its whole batch. Names and indexes are those that the job gives; a test holds the two together.
do $$
declare
    -- A month is added to in UTC, whatever the session's zone.
    this_month constant timestamp := date_trunc('month', owl_now() at time zone 'UTC');
    one record;
    month timestamp;
    partition text;
begin
    for one in select * from (values ('events'), ('metric_events'), ('funnel_events')) as t (parent) loop
        continue when exists (select from pg_inherits where inhparent = to_regclass(one.parent))
            or not exists (select from pg_class where oid = to_regclass(one.parent) and relkind = 'p');
        for month in select generate_series(this_month - interval '1 month', this_month + interval '2 months', interval '1 month') loop
            execute format(
                'create table %I partition of %I for values from (%L) to (%L)',
                one.parent || to_char(month, '_YYYY_MM'), one.parent, month || '+00', month + interval '1 month' || '+00'
            );
        end loop;
    end loop;
    for one in
        select c.relname as partition, suffix, columns
        from (values
            ('events', 'app_ts_idx', 'app_id, "timestamp"'),
            ('events', 'app_level_ts_idx', 'app_id, level, "timestamp"'),
            ('events', 'app_user_ts_idx', 'app_id, user_id, "timestamp"'),
            ('events', 'app_screen_name_ts_idx', 'app_id, screen_name, "timestamp"'),
            ('events', 'client_eid_idx', 'app_id, client_event_id'),
            ('events', 'app_session_ts_idx', 'app_id, session_id, "timestamp"'),
            ('events', 'app_dev_ts_idx', 'app_id, is_dev, "timestamp"'),
            ('metric_events', 'app_slug_ts_idx', 'app_id, metric_slug, "timestamp"'),
            ('metric_events', 'app_slug_phase_ts_idx', 'app_id, metric_slug, phase, "timestamp"'),
            ('metric_events', 'app_tracking_id_idx', 'app_id, tracking_id'),
            ('metric_events', 'app_client_eid_idx', 'app_id, client_event_id'),
            ('funnel_events', 'app_step_ts_idx', 'app_id, step_name, "timestamp"'),
            ('funnel_events', 'app_user_ts_idx', 'app_id, user_id, "timestamp"'),
            ('funnel_events', 'app_step_user_ts_idx', 'app_id, step_name, user_id, "timestamp"'),
            ('funnel_events', 'app_client_eid_idx', 'app_id, client_event_id')
        ) as t (parent, suffix, columns)
        join pg_inherits i on i.inhparent = to_regclass(t.parent)
        -- A partition made just now, in this transaction, and no other.
        join pg_class c on c.oid = i.inhrelid and c.xmin = pg_current_xact_id()::xid
    loop
        execute format('create index %I on %I (%s)', one.partition || '_' || one.suffix, one.partition, one.columns);
    end loop;
end $$;

create table if not exists metric_definitions (
    id uuid primary key default gen_random_uuid(),
    project_id uuid not null references projects on delete cascade,
    name varchar(255) not null,
    slug varchar(255) not null,
    description text,
    documentation text,
    schema_definition jsonb,
    aggregation_rules jsonb,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz
);
create unique index if not exists metric_definitions_project_slug_idx on metric_definitions (project_id, slug);

create table if not exists funnel_definitions (
    id uuid primary key default gen_random_uuid(),
    project_id uuid not null references projects on delete cascade,
    name varchar(255) not null,
    slug varchar(255) not null,
    description text,
    steps jsonb not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz
);
create unique index if not exists funnel_definitions_project_slug_idx on funnel_definitions (project_id, slug);

create table if not exists team_invitations (
    id uuid primary key default gen_random_uuid(),
    team_id uuid not null references teams on delete cascade,
    email varchar(255) not null,
    role team_role not null default 'member',
    token uuid not null default gen_random_uuid(),
    invited_by_user_id uuid not null references users on delete cascade,
    expires_at timestamptz not null,
    accepted_at timestamptz,
    created_at timestamptz not null default now()
);
create unique index if not exists team_invitations_team_email_idx on team_invitations (team_id, email);
create unique index if not exists team_invitations_token_idx on team_invitations (token);
create index if not exists team_invitations_email_idx on team_invitations (email);
