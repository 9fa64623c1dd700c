-- Put a fire time on record. No row: it is on record already.
insert into schedule_fires (schedule, fire_time, outcome, reason, run_id, active_run_id)
values (%(schedule)s, %(fire_time)s, %(outcome)s, %(reason)s, %(run_id)s, %(active_run_id)s)
on conflict do nothing
returning fire_time;
