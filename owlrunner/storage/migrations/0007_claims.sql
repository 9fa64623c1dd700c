-- Claims that cost what they take, runs that wait for a server that understands them, and notifications that tell the truth.
-- compatible: yes

-- One server's job types with what it understands: fingerprints[i] stands for the params class of job_types[i].
alter table servers add column fingerprints text[] not null default '{}';

alter table job_runs
    -- Fingerprints whose servers could not read the params. Such a run waits for another server.
    add column unreadable_by text[],
    -- No living server can read it: out of the way of claims until a server joins that may.
    add column set_aside boolean not null default false;

-- By job type first: a claim goes from the first run of one job type and priority to that of the next, so that neither runs of
-- other job types nor runs of a far future cost it anything. Those that are set aside stand apart.
drop index job_runs_claim_idx;
create index job_runs_claim_idx on job_runs (set_aside, job_type, priority desc, run_at, id) where status = 'pending';

-- Job types of which due runs wait that no living server can execute, as long as that is so: each is reported once.
create table stranded_job_types (
    job_type varchar(100) primary key,
    since timestamptz not null default owl_now()
);

alter table notifications
    -- What is said: how the run ended, or that no server can execute it.
    add column subject varchar(10) not null default 'ended' check (subject in ('ended', 'stranded')),
    -- How often a server died while it was sending; one that ends its servers is not tried for ever.
    add column restarts smallint not null default 0,
    drop constraint notifications_once,
    add constraint notifications_once unique (run_id, notifier, recipient, subject);

-- The end before this one: by time, and among runs that ended in one statement by id. A statement that ends several runs
-- shows each of them all the others.
create or replace function owl_is_alert(run job_runs, alerts text) returns boolean language sql stable as $$
    select case alerts
        when 'all' then true
        when 'failures' then run.status = 'failed'
        else run.status <> 'cancelled' and run.status is distinct from coalesce(
            (select r.status from job_runs r
             where r.job_type = run.job_type and r.team_id is null and r.completed_at is not null
                and r.status <> 'cancelled' and (r.completed_at, r.id) < (run.completed_at, run.id)
             order by r.completed_at desc, r.id desc limit 1),
            'completed')
    end
$$;

-- Who asked to be told: the user who triggered the run, or the one who made the API key that did, as long as they may read it:
-- as owner or admin of the run's team.
create function owl_requester(triggered_by text, team uuid) returns text language sql stable as $$
    select u.email from users u
    join team_members m on m.user_id = u.id and m.team_id = team and m.role in ('owner', 'admin')
    join teams t on t.id = m.team_id and t.deleted_at is null
    where u.id = case split_part(triggered_by, ':', 2)
        when 'user' then split_part(triggered_by, ':', 3)::uuid
        when 'api_key' then (
            select k.created_by from api_keys k where k.id = split_part(triggered_by, ':', 3)::uuid and k.team_id = team)
    end
$$;

create or replace function owl_notify_of_end() returns trigger language plpgsql as $$
begin
    if not new.notify and not exists (select from notification_rules where alert_email <> '') then
        return null;
    end if;
    insert into notifications (run_id, notifier, recipient)
    select new.id, notifier, told.recipient
    from notification_rules rules
    cross join unnest(rules.notifiers) as notifier
    cross join lateral (
        select rules.alert_email where new.team_id is null and rules.alert_email <> '' and owl_is_alert(new, rules.alerts)
        union
        select owl_requester(new.triggered_by, new.team_id) where new.notify
    ) as told (recipient)
    where told.recipient is not null
    on conflict on constraint notifications_once do nothing;
    if found then
        perform pg_notify('owlrunner_notifications', '');
    end if;
    return null;
end
$$;
drop function owl_requester(text);

-- What belongs to a project or a team that was soft-deleted does not run: what waits is cancelled, what runs is asked to end.
create function owl_cancel_runs_of_deleted() returns trigger language plpgsql as $$
begin
    update job_runs
    set cancel_requested_at = coalesce(cancel_requested_at, owl_now()),
        cancelled_by = coalesce(cancelled_by, tg_argv[0] || ' deleted'),
        completed_at = case when status = 'pending' then owl_now() end,
        status = case when status = 'pending' then 'cancelled' else status end
    where status in ('pending', 'running')
        and case tg_argv[0] when 'project' then project_id = new.id else team_id = new.id end;
    perform pg_notify('owlrunner_held', '');
    return null;
end
$$;
create trigger projects_deleted after update of deleted_at on projects for each row
    when (new.deleted_at is not null and old.deleted_at is null) execute function owl_cancel_runs_of_deleted('project');
create trigger teams_deleted after update of deleted_at on teams for each row
    when (new.deleted_at is not null and old.deleted_at is null) execute function owl_cancel_runs_of_deleted('team');
