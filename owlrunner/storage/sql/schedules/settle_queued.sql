-- A fire that waited has got its run, or waits for another one that was quicker.
update schedule_fires
set outcome = case when %(run_id)s::uuid is null then outcome else 'ran' end, run_id = %(run_id)s,
    reason = case when %(run_id)s::uuid is null then reason end, active_run_id = %(active_run_id)s
where schedule = %(schedule)s and fire_time = %(fire_time)s and outcome = 'queued';
