-- The outbox: what is to be said about runs that have ended. A trigger writes it, so that there is no way to end a run
-- (by its handler, a recovery, a cancel, an owner with psql) that forgets to, and none that says it twice.
-- compatible: yes

-- The rules of whoever was deployed last, as with schedules: one row.
create table notification_rules (
    only_one boolean primary key default true check (only_one),
    -- Who hears of system runs; empty for nobody.
    alert_email varchar(320) not null,
    alerts varchar(10) not null check (alerts in ('all', 'failures', 'changes')),
    notifiers text[] not null
);

create type notification_status as enum ('pending', 'sent', 'given_up');

create table notifications (
    id uuid primary key default owl_uuid7(),
    run_id uuid not null references job_runs on delete cascade,
    notifier varchar(100) not null,
    recipient varchar(320) not null,
    status notification_status not null default 'pending',
    -- Counts the tries, and fences them together with the server.
    attempt integer not null default 0,
    due_at timestamptz not null default owl_now(),
    -- Who is trying now.
    server_id uuid,
    last_error text,
    created_at timestamptz not null default owl_now(),
    settled_at timestamptz,
    constraint notifications_once unique (run_id, notifier, recipient),
    constraint notifications_settled_has_end check ((status = 'pending') = (settled_at is null)),
    constraint notifications_given_up_says_why check (status <> 'given_up' or last_error is not null)
) with (fillfactor = 80);
create index notifications_due_idx on notifications (notifier, due_at) where status = 'pending';
create index notifications_being_sent_idx on notifications (server_id) where status = 'pending' and server_id is not null;

-- Which was the last end of a system job, for alerts about changes. Runs of projects are not in it.
create index job_runs_system_ended_idx on job_runs (job_type, completed_at) where team_id is null and completed_at is not null;

-- Whether the rules want the owner to hear of a system run's end. Cancelling one is the owner's own doing: only "all" tells it.
create function owl_is_alert(run job_runs, alerts text) returns boolean language sql stable as $$
    select case alerts
        when 'all' then true
        when 'failures' then run.status = 'failed'
        else run.status <> 'cancelled' and run.status is distinct from coalesce(
            (select r.status from job_runs r
             where r.job_type = run.job_type and r.team_id is null and r.completed_at is not null
                and r.status <> 'cancelled' and r.id <> run.id
             order by r.completed_at desc limit 1),
            'completed')
    end
$$;

-- Who asked to be told: the user who triggered the run, or the one who made the API key that did.
create function owl_requester(triggered_by text) returns text language sql stable as $$
    select u.email from users u
    where u.id = case split_part(triggered_by, ':', 2)
        when 'user' then split_part(triggered_by, ':', 3)::uuid
        when 'api_key' then (select k.created_by from api_keys k where k.id = split_part(triggered_by, ':', 3)::uuid)
    end
$$;

create function owl_notify_of_end() returns trigger language plpgsql as $$
begin
    insert into notifications (run_id, notifier, recipient)
    select new.id, notifier, told.recipient
    from notification_rules rules
    cross join unnest(rules.notifiers) as notifier
    cross join lateral (
        select rules.alert_email where new.team_id is null and rules.alert_email <> '' and owl_is_alert(new, rules.alerts)
        union
        select owl_requester(new.triggered_by) where new.notify
    ) as told (recipient)
    where told.recipient is not null
    on conflict on constraint notifications_once do nothing;
    if found then
        perform pg_notify('owlrunner_notifications', '');
    end if;
    return null;
end
$$;

-- Nothing is asked of the many runs that nobody wants to hear about.
create trigger job_runs_notify_of_end after update of status on job_runs for each row
    when (new.completed_at is not null and old.completed_at is null and (new.notify or new.team_id is null))
    execute function owl_notify_of_end();
