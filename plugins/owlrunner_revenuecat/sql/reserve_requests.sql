-- Book the next stretch of time of an API key, and tell in how many seconds it begins: below 0 where requests may be made up for.
-- clock_timestamp(), because whoever waits for the row's lock would book by the time at which the wait began.
insert into revenuecat_rate_limits as r (key_hash, kind, booked_until)
values (
    %(key_hash)s, %(kind)s,
    clock_timestamp() + make_interval(secs => %(length)s::float8) - make_interval(secs => %(made_up_for)s::float8)
)
on conflict (key_hash, kind) do update
set booked_until = greatest(r.booked_until, clock_timestamp() - make_interval(secs => %(made_up_for)s::float8))
    + make_interval(secs => %(length)s::float8)
returning extract(epoch from r.booked_until - make_interval(secs => %(length)s::float8) - clock_timestamp())::float8;
