-- From now on these rules hold, on every server.
insert into notification_rules (alert_email, alerts, notifiers, missed_after)
values (%(alert_email)s, %(alerts)s, %(notifiers)s, %(missed_after)s)
on conflict (only_one) do update
set alert_email = excluded.alert_email, alerts = excluded.alerts, notifiers = excluded.notifiers, missed_after = excluded.missed_after;
