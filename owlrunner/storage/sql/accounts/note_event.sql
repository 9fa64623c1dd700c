-- Note what has happened about a sign-in.
insert into security_events (action, email, client, user_agent) values (%(action)s, %(email)s, %(client)s, %(user_agent)s);
