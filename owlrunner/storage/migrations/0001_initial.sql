-- Accounts and job runs. Column names, types and index names follow OwlMetry's where it has them.
-- compatible: no

-- Shared time is the database's. Everything that compares times asks this function, so that a test can put its own
-- clock in its place; it is inlined, and costs nothing.
create function owl_now() returns timestamptz language sql stable parallel safe as 'select now()';

-- Ids that grow with time keep the indexes of a long history warm: version 7 of RFC 9562, which PostgreSQL has itself
-- from version 18 on. Milliseconds in the first 48 bits, the rest random.
create function owl_uuid7() returns uuid language sql volatile parallel safe as $$
    select encode(
        set_bit(
            set_bit(
                overlay(uuid_send(gen_random_uuid())
                    placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
                52, 1),
            53, 1),
        'hex')::uuid
$$;

create type job_status as enum ('pending', 'running', 'completed', 'failed', 'cancelled');
create type team_role as enum ('owner', 'admin', 'member');
create type api_key_type as enum ('client', 'agent');
create type audit_actor_type as enum ('user', 'api_key', 'system');
create type audit_action as enum ('create', 'update', 'delete');

create table users (
    id uuid primary key default gen_random_uuid(),
    email varchar(255) not null unique,
    name varchar(255) not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

create table teams (
    id uuid primary key default gen_random_uuid(),
    name varchar(255) not null,
    slug varchar(255) not null unique,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz
);

create table team_members (
    team_id uuid not null references teams on delete cascade,
    user_id uuid not null references users on delete cascade,
    role team_role not null default 'member',
    joined_at timestamptz not null default now()
);
create unique index team_members_team_user_idx on team_members (team_id, user_id);
create index team_members_user_id_idx on team_members (user_id);

create table projects (
    id uuid primary key default gen_random_uuid(),
    team_id uuid not null references teams on delete cascade,
    name varchar(255) not null,
    slug varchar(255) not null,
    created_at timestamptz not null default now(),
    deleted_at timestamptz
);
create unique index projects_team_slug_idx on projects (team_id, slug);

create table project_integrations (
    id uuid primary key default gen_random_uuid(),
    project_id uuid not null references projects on delete cascade,
    provider varchar(50) not null,
    config jsonb not null,
    enabled boolean not null default true,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    unique (project_id, provider)
);

create table api_keys (
    id uuid primary key default gen_random_uuid(),
    -- SHA-256 of the whole raw key, hex. The key is 192 random bits, so a plain hash cannot be guessed back.
    key_hash text not null unique,
    key_prefix varchar(20) not null,
    key_type api_key_type not null,
    app_id uuid,
    team_id uuid not null references teams on delete cascade,
    name varchar(255) not null,
    created_by uuid not null references users,
    permissions jsonb not null,
    last_used_at timestamptz,
    expires_at timestamptz,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz
);
create index api_keys_team_id_idx on api_keys (team_id);

create table email_verification_codes (
    id uuid primary key default gen_random_uuid(),
    email varchar(255) not null,
    code_hash text not null,
    wrong_guesses smallint not null default 0,
    expires_at timestamptz not null,
    used_at timestamptz,
    created_at timestamptz not null default now()
);
create index email_verification_codes_email_idx on email_verification_codes (email, created_at);

-- What a user holds after signing in: an opaque token, stored hashed, so that signing out really ends it.
create table user_sessions (
    token_hash text primary key,
    user_id uuid not null references users on delete cascade,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index user_sessions_user_id_idx on user_sessions (user_id);

create table audit_logs (
    id uuid primary key default gen_random_uuid(),
    team_id uuid not null references teams on delete cascade,
    actor_type audit_actor_type not null,
    actor_id varchar(255) not null,
    action audit_action not null,
    resource_type varchar(50) not null,
    resource_id varchar(255) not null,
    changes jsonb,
    metadata jsonb,
    "timestamp" timestamptz not null default now()
);
create index audit_logs_team_timestamp_idx on audit_logs (team_id, "timestamp");

create table servers (
    id uuid primary key,
    name text not null,
    version text not null,
    job_types text[] not null,
    capacity integer not null,
    started_at timestamptz not null,
    -- No index on it: a heartbeat stays a HOT update.
    lease_expires_at timestamptz not null,
    -- Set once, by whoever finds the lease expired, by a successor of the same name, or by the server as it leaves.
    -- A buried server never comes back: whatever it still writes is refused.
    buried_at timestamptz
) with (fillfactor = 50);
create unique index servers_living_name_idx on servers (name) where buried_at is null;

create table job_runs (
    id uuid primary key default owl_uuid7(),
    job_type varchar(100) not null,
    status job_status not null default 'pending',
    team_id uuid references teams on delete cascade,
    project_id uuid references projects on delete cascade,
    triggered_by varchar(100) not null,
    params jsonb,
    progress jsonb,
    result jsonb,
    error text,
    notify boolean not null default false,
    started_at timestamptz,
    completed_at timestamptz,
    created_at timestamptz not null default owl_now(),

    run_at timestamptz not null default owl_now(),
    priority smallint not null default 0,
    -- Copied from the job type, because recovery may be done by a server that has never heard of it.
    exclusive boolean not null default true,
    requeue_on_restart boolean not null default false,
    max_attempts integer not null default 1,
    -- Counts every start, and is the fencing token: a write names server and attempt.
    attempt integer not null default 0,
    -- How often a server died while it held the run; a run that kills its servers is not started for ever.
    restarts smallint not null default 0,
    server_id uuid,
    cancel_requested_at timestamptz,
    cancelled_by varchar(100),

    constraint job_runs_ended_has_end check ((status in ('completed', 'failed', 'cancelled')) = (completed_at is not null)),
    constraint job_runs_running_is_held check (status <> 'running' or (server_id is not null and started_at is not null and attempt > 0)),
    constraint job_runs_pending_is_free check (status <> 'pending' or (server_id is null and cancel_requested_at is null)),
    constraint job_runs_failed_says_why check (status <> 'failed' or error is not null),
    constraint job_runs_cancelled_was_asked check (status <> 'cancelled' or cancel_requested_at is not null),
    constraint job_runs_project_has_team check (project_id is null or team_id is not null),
    constraint job_runs_attempts check (attempt >= 0 and max_attempts >= 1)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);

-- The overlap guard. System runs have no project, and null is not equal to null before PostgreSQL 15, hence the zero uuid.
create unique index job_runs_one_active_idx on job_runs (job_type, (coalesce(project_id, '00000000-0000-0000-0000-000000000000'::uuid)))
    where status in ('pending', 'running') and exclusive;
create index job_runs_claim_idx on job_runs (priority desc, run_at, id) where status = 'pending';
create index job_runs_held_idx on job_runs (server_id) where status = 'running';
create index job_runs_team_id_created_at_idx on job_runs (team_id, created_at desc, id desc);
create index job_runs_project_id_idx on job_runs (project_id, created_at desc, id desc) where project_id is not null;

create table job_run_logs (
    run_id uuid not null references job_runs on delete cascade,
    attempt integer not null,
    seq integer not null,
    at timestamptz not null,
    level varchar(10) not null,
    logger text not null,
    message text not null,
    primary key (run_id, attempt, seq)
);
