-- Forget events about sign-ins after a while.
delete from security_events where at < owl_now() - %(days)s * interval '1 day';
