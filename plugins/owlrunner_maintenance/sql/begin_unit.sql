-- For this transaction alone: bounds are read and written in UTC, and a lock that is not to be had is given up soon, because
-- whoever queues behind our request would wait with us.
select
    set_config('TimeZone', 'UTC', true),
    set_config('DateStyle', 'ISO, YMD', true),
    set_config('lock_timeout', %(lock_timeout)s, true);
