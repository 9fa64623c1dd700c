-- Note what has happened about a sign-in. Of what happens again and again with one address at one client a hundred an hour are noted: the
-- record is for those who read it, and nobody fills the disk with it.
insert into security_events (action, email, client, user_agent)
select %(action)s, %(email)s, %(client)s, %(user_agent)s
where (
    select count(*) from (
        select from security_events
        where action = %(action)s and client is not distinct from %(client)s and email is not distinct from %(email)s
            and at > owl_now() - interval '1 hour'
        limit 100
    ) as latest
) < 100;
