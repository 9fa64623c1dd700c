-- What recurs, and what became of each time at which it was due.
-- compatible: yes

create table schedules (
    name varchar(100) primary key,
    job_type varchar(100) not null,
    -- The whole schedule as the configuration has it. A server decides only for schedules that it knows in this very form:
    -- when two configurations meet during a deploy, the one that was deployed last holds.
    definition jsonb not null,
    -- Fire times up to here are on record. Locking this row is what makes one server at a time decide.
    decided_until timestamptz not null,
    created_at timestamptz not null default owl_now(),
    updated_at timestamptz not null default owl_now()
);

create table schedule_fires (
    schedule varchar(100) not null,
    fire_time timestamptz not null,
    outcome varchar(10) not null check (outcome in ('ran', 'skipped', 'missed', 'queued')),
    reason text,
    run_id uuid,
    active_run_id uuid,
    decided_at timestamptz not null default owl_now(),
    -- The promise: one fire time of a schedule is decided once in the whole cluster.
    primary key (schedule, fire_time),
    constraint schedule_fires_ran_has_run check ((outcome = 'ran') = (run_id is not null)),
    constraint schedule_fires_skipped_says_why check (outcome = 'ran' or reason is not null)
);
-- One fire waits for the active run to end, and no more.
create unique index schedule_fires_one_queued_idx on schedule_fires (schedule) where outcome = 'queued';

alter table job_runs add column schedule varchar(100), add column fire_time timestamptz;
