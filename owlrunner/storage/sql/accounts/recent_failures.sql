-- How many sign-ins from a client's address have failed within the hour, and in how many seconds the first of them is an hour old.
-- None where somebody has signed in with the address by this browser: what others at the client do is not held against them.
select count(*), ceil(extract(epoch from min(at) + interval '1 hour' - owl_now()))::int
from security_events
where action = 'sign_in_failed' and client = %(client)s and at > owl_now() - interval '1 hour'
    and not exists (select from known_origins where email = %(email)s and mark = 'browser:' || %(browser)s::text);
