-- How many sign-ins from a client's address have failed within the hour, and in how many seconds the first of them is an hour old.
select count(*), ceil(extract(epoch from min(at) + interval '1 hour' - owl_now()))::int
from security_events
where action = 'sign_in_failed' and client = %(client)s and at > owl_now() - interval '1 hour';
