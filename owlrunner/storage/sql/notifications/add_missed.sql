-- Tell the owner that a schedule has missed fire times, if the first of them is old enough: a short restart is no news. It is sent a
-- while later, and until then takes in what other schedules have missed in the same outage.
--
-- The order by notifier keeps two servers that add at once from waiting for each other.
with added as (
    insert into notifications (notifier, recipient, subject, due_at, missed_fires)
    select notifier, rules.alert_email, 'missed', owl_now() + %(gather)s * interval '1 second',
        jsonb_build_object(%(schedule)s::text, %(told)s::jsonb)
    from notification_rules rules cross join unnest(rules.notifiers) as notifier
    where rules.alert_email <> '' and %(first)s < owl_now() - rules.missed_after * interval '1 second'
    order by notifier
    on conflict (notifier, recipient) where subject = 'missed' and status = 'pending' and attempt = 0 do update
    set missed_fires = notifications.missed_fires || jsonb_build_object(
        %(schedule)s::text, owl_missed_fires(notifications.missed_fires -> %(schedule)s::text, %(told)s::jsonb))
    returning id
)
select pg_notify('owlrunner_notifications', '') from added limit 1;
