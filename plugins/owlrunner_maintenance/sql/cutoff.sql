-- What was deleted before this moment is not restored any more. Days of 24 hours, as UTC has them.
select owl_now() - %(grace_days)s * interval '24 hours';
