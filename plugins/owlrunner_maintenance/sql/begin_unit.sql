-- For this transaction alone: bounds are read and written in UTC, and a lock that is not to be had is given up soon, because
-- whoever queues behind our request would wait with us. Where policies would hide rows from us, PostgreSQL raises an error: a
-- table with hidden rows would look empty.
select
    set_config('TimeZone', 'UTC', true),
    set_config('DateStyle', 'ISO, YMD', true),
    set_config('standard_conforming_strings', 'on', true),
    set_config('row_security', 'off', true),
    set_config('lock_timeout', %(lock_timeout)s, true);
