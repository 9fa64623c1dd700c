-- What the pages of team admins ask for: how a run came along, and which runs did not end well.
-- compatible: yes

-- How far an attempt was at which time, at intervals that grow with its age, so that a run of days keeps a few hundred rows.
create table job_run_progress (
    run_id uuid not null references job_runs on delete cascade,
    attempt integer not null,
    at timestamptz not null default owl_now(),
    processed bigint not null,
    total bigint not null,
    primary key (run_id, attempt, at)
);

-- Runs that failed or were cancelled are rare and looked for; without this, one looks for them through the whole history.
create index job_runs_not_well_idx on job_runs (team_id, created_at desc, id desc) where status in ('failed', 'cancelled');
