-- One batch of fires. That their times are decided does not rest on these rows: nobody asks for fire times before
-- schedules.decided_until, which moved past them in the transaction that wrote them, and never moves back. A schedule that is
-- taken out and comes back starts at the time of its return. Nobody changes a fire that does not wait, so nobody is waited for.
delete from schedule_fires
where schedule = %(schedule)s and fire_time = any(%(times)s::timestamptz[]) and outcome <> 'queued';
