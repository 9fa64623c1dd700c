-- The product's apps and the people who use them. Names and types follow OwlMetry's.

create type app_platform as enum ('apple', 'android', 'web', 'backend');

create table apps (
    id uuid primary key default gen_random_uuid(),
    team_id uuid not null references teams on delete cascade,
    project_id uuid not null references projects on delete cascade,
    name varchar(255) not null,
    platform app_platform not null,
    bundle_id varchar(255),
    created_at timestamptz not null default now(),
    deleted_at timestamptz
);
create index apps_team_id_idx on apps (team_id);
create index apps_project_id_idx on apps (project_id);

-- One row per person and project, however many of its apps they use.
create table app_users (
    id uuid primary key default gen_random_uuid(),
    project_id uuid not null references projects on delete cascade,
    user_id varchar(255) not null,
    is_anonymous boolean not null,
    claimed_from jsonb,
    -- Always an object: || would quietly turn anything else into an array.
    properties jsonb not null default '{}' check (jsonb_typeof(properties) = 'object'),
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    total_revenue_usd_cents bigint,
    -- Not indexed, so that a sync's updates stay HOT.
    revenue_synced_at timestamptz
) with (fillfactor = 80);
create unique index app_users_project_user_idx on app_users (project_id, user_id);
create index app_users_project_last_seen_at_idx on app_users (project_id, last_seen_at);

create table app_user_apps (
    app_user_id uuid not null references app_users on delete cascade,
    app_id uuid not null references apps on delete cascade,
    first_seen_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    primary key (app_user_id, app_id)
);
create index app_user_apps_app_id_idx on app_user_apps (app_id);
