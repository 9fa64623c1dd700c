-- Sign a user out everywhere.
delete from user_sessions s using users u where u.email = %(email)s and s.user_id = u.id returning s.user_id;
