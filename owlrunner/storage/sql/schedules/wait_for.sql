-- The fires that wait do so for another run now: one of them has started, or somebody else was quicker.
update schedule_fires set active_run_id = %(active_run_id)s
where schedule = %(schedule)s and outcome = 'queued' and active_run_id is distinct from %(active_run_id)s;
