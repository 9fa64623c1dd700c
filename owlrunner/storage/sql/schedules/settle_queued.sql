-- A fire that waited has got its run, or is given up.
update schedule_fires
set outcome = %(outcome)s, run_id = %(run_id)s, reason = %(reason)s,
    active_run_id = case when %(run_id)s::uuid is null then active_run_id end
where schedule = %(schedule)s and fire_time = %(fire_time)s and outcome = 'queued';
