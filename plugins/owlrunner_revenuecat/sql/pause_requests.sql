-- Promise no request of an API key for a while, as a 429 asks. A pause never shortens a longer one.
insert into revenuecat_rate_limits as r (key_hash, kind, booked_until)
values (%(key_hash)s, %(kind)s, clock_timestamp() + make_interval(secs => %(seconds)s::float8))
on conflict (key_hash, kind) do update
set booked_until = greatest(r.booked_until, clock_timestamp() + make_interval(secs => %(seconds)s::float8));
