-- Notifications about schedules whose fire times nothing ran at: they belong to no run.
-- compatible: yes

alter table notification_rules
    -- Seconds: the owner hears of fire times that were missed by more.
    add column missed_after double precision not null default 300;

alter table notifications
    alter column run_id drop not null,
    -- By the schedule's name: what is told of it.
    add column missed_fires jsonb,
    drop constraint notifications_subject_check,
    add constraint notifications_subject_check check (subject in ('ended', 'stranded', 'missed')),
    add constraint notifications_have_a_subject check (
        (subject = 'missed') = (run_id is null) and (subject = 'missed') = (missed_fires is not null));

-- Until the first try, what is missed is added to the notification that is there: an outage makes one, however many schedules missed
-- fire times. What has been tried once says the same at every try.
create unique index notifications_missed_idx on notifications (notifier, recipient)
    where subject = 'missed' and status = 'pending' and attempt = 0;

-- They are not deleted with a run, but for their age.
create index notifications_without_run_idx on notifications (settled_at) where run_id is null;

-- What is told of a schedule, after another outage before anybody was told of the first.
create function owl_missed_fires(earlier jsonb, later jsonb) returns jsonb language sql immutable as $$
    select case when earlier is null then later else later || jsonb_build_object(
        'missed', (earlier ->> 'missed')::int + (later ->> 'missed')::int,
        'late', (earlier ->> 'late')::int + (later ->> 'late')::int,
        'first', least(earlier ->> 'first', later ->> 'first'),
        'last', greatest(earlier ->> 'last', later ->> 'last'),
        'at_least', (earlier ->> 'at_least')::boolean or (later ->> 'at_least')::boolean,
        'reasons', (
            select jsonb_agg(distinct reason)
            from jsonb_array_elements_text((earlier -> 'reasons') || (later -> 'reasons')) as reason))
    end
$$;
