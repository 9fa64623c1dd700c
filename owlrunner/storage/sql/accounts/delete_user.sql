-- Delete what is known of a user who is in no team any more: address and name, sign-ins, codes, and where they signed in from. The
-- row stays, without a name, because keys that have ended and the audit log refer to it. By the operator.
with gone as (
    select id, email from users where id = %(user_id)s
),
sessions as (
    delete from user_sessions s using gone where s.user_id = gone.id
),
codes as (
    delete from email_verification_codes c using gone where c.email = gone.email
),
origins as (
    delete from known_origins o using gone where o.email = gone.email
),
events as (
    update security_events e set email = null, user_agent = null from gone where e.email = gone.email
),
noted as (
    -- Who did something, and what, stays; by whose address they were known does not.
    update audit_logs a set metadata = a.metadata - 'email' from gone where a.metadata ->> 'email' = gone.email
),
untold as (
    update notifications n set recipient = 'deleted-' || gone.id || '@deleted.invalid' from gone where n.recipient = gone.email
),
nameless as (
    -- .invalid can be nobody's (RFC 2606), so nobody signs in as this user again.
    update users u set email = 'deleted-' || u.id || '@deleted.invalid', name = 'Deleted user', updated_at = owl_now()
    from gone where u.id = gone.id
)
insert into audit_logs (actor_type, actor_id, action, resource_type, resource_id)
select 'system', 'operator', 'delete', 'user', id::text from gone;
