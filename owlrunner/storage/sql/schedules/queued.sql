-- The fires of a schedule that wait, in order. Whoever asks has locked the schedule, and nobody else touches them.
select fire_time, decided_at from schedule_fires where schedule = %(schedule)s and outcome = 'queued' order by fire_time;
