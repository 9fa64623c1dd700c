-- Say to the owner that no living server can execute a run.
with added as (
    insert into notifications (run_id, notifier, recipient, subject)
    select %(run_id)s, notifier, rules.alert_email, 'stranded'
    from notification_rules rules cross join unnest(rules.notifiers) as notifier
    where rules.alert_email <> ''
    on conflict on constraint notifications_once do nothing
    returning id
)
select pg_notify('owlrunner_notifications', '') from added limit 1;
