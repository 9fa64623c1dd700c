"""The laboratory: a real server and a real PostgreSQL, with a proxy between them that breaks any one statement in any one way."""
