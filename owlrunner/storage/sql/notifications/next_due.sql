-- Seconds until the next notification for these notifiers is due (0 or less: one is due now), or null.
select extract(epoch from min(due_at) - owl_now())::float8 from notifications where status = 'pending' and notifier = any(%(notifiers)s);
