-- Sign out: from now on the token is as good as a made-up one.
delete from user_sessions where token_hash = %(token_hash)s;
