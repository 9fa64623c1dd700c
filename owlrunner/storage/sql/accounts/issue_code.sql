-- Store a new login code, unless there have been too many. A new code ends those before it of the same browser, so that a guess has one
-- target. It does not end those of programs, which are told apart by nothing that others could not have: somebody else would end them.
--
-- Whoever asks from where somebody has signed in with the address before is limited by what was asked for from there alone: no
-- stranger can use that up. For others there are limits by the address, by the client, and over all.
--
-- Returns the code's id, or null, the seconds until the next one may be asked for, and which limit it was.
with own as (
    select created_at from email_verification_codes
    where email = %(email)s and browser is not distinct from %(browser)s::text
        and (%(browser)s::text is not null or client is not distinct from %(client)s::text)
        and not (undelivered and from_known) and created_at > owl_now() - interval '1 hour'
),
strangers as (
    select created_at, email = %(email)s as of_address, client is not distinct from %(client)s::text as of_client
    from email_verification_codes
    where not from_known and created_at > owl_now() - interval '1 hour' and not %(known)s::bool
),
of_day as (
    select created_at from email_verification_codes
    where email = %(email)s and not from_known and created_at > owl_now() - interval '1 day' and not %(known)s::bool
),
refused as (
    select reason, first_at + span as until from (
        select 'own' as reason, count(*) as number, %(own)s as most, min(created_at) as first_at, interval '1 hour' as span from own
        union all
        select 'address', count(*), %(of_address)s, min(created_at), interval '1 hour' from strangers where of_address
        union all
        select 'day', count(*), %(of_day)s, min(created_at), interval '1 day' from of_day
        union all
        select 'client', count(*), %(of_client)s, min(created_at), interval '1 hour' from strangers
        where of_client and %(client)s::text is not null
        union all
        select 'all', count(*), %(of_all)s, min(created_at), interval '1 hour' from strangers
    ) as counted
    where number >= most
    order by until desc
    limit 1
),
ended as (
    update email_verification_codes set expires_at = owl_now()
    where email = %(email)s and browser = %(browser)s::text and used_at is null and expires_at > owl_now()
        and not exists (select from refused)
),
forgotten as (
    delete from email_verification_codes where email = %(email)s and created_at < owl_now() - interval '1 day'
),
issued as (
    insert into email_verification_codes (email, code_hash, expires_at, created_at, browser, client, from_known)
    select %(email)s, %(code_hash)s, owl_now() + interval '10 minutes', owl_now(), %(browser)s, %(client)s, %(known)s
    where not exists (select from refused)
    returning id
)
select issued.id, ceil(extract(epoch from refused.until - owl_now()))::int, refused.reason
from (select) as one left join issued on true left join refused on true;
