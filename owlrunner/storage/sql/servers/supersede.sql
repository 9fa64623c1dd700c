-- Bury the living server of this name: its successor is starting.
update servers set buried_at = owl_now() where name = %(name)s and buried_at is null;
