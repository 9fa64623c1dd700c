"""This is the room that speaks SQL: PostgreSQL through Trio, one query per file under ``sql/``, one module per table."""
