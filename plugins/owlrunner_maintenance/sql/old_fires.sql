-- The next fires of one schedule that are old enough. One that still waits for a run to end is not history yet, nor is one that
-- was decided only now, for a time long past.
select fire_time from schedule_fires
where schedule = %(schedule)s and fire_time > coalesce(%(after)s::timestamptz, '-infinity')
    and fire_time < least(%(cutoff)s::timestamptz, %(last)s::timestamptz)
    and outcome <> 'queued' and decided_at < %(cutoff)s
order by fire_time
limit %(rows)s;
