-- The latest events about sign-ins, newest first.
select at, action, email, client, user_agent
from security_events
where at >= coalesce(%(since)s::timestamptz, owl_now() - %(since_ago)s::interval, '-infinity')
order by at desc, id desc
limit %(limit)s;
