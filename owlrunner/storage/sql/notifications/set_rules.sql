-- From now on these rules hold, on every server.
insert into notification_rules (alert_email, alerts, notifiers) values (%(alert_email)s, %(alerts)s, %(notifiers)s)
on conflict (only_one) do update set alert_email = excluded.alert_email, alerts = excluded.alerts, notifiers = excluded.notifiers;
