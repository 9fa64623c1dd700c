-- The server has ended its runs and goes; what it should still hold, for whatever reason, is free for recovery.
update servers set buried_at = owl_now() where id = %(id)s and buried_at is null;
