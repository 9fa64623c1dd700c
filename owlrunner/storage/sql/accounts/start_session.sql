-- Sign a user in for a week, and forget their sign-ins that have run out.
with ended as (
    delete from user_sessions where user_id = %(user_id)s and expires_at <= owl_now()
)
insert into user_sessions (token_hash, user_id, created_at, expires_at)
values (%(token_hash)s, %(user_id)s, owl_now(), owl_now() + %(seconds)s * interval '1 second');
