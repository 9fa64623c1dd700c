-- Forget events about sign-ins after a while.
select owl_forget_security_events(%(days)s);
