-- Store a new login code, unless the address has had too many within the hour. A new code ends the ones before it, so that an
-- address has one live code at most, and a guess has one target.
--
-- Returns the code's id, or null and the seconds until the next one may be asked for.
with recent as (
    select count(*) as number, min(created_at) as first_at from email_verification_codes
    where email = %(email)s and created_at > owl_now() - interval '1 hour'
),
ended as (
    update email_verification_codes set expires_at = owl_now()
    where email = %(email)s and used_at is null and expires_at > owl_now() and (select number from recent) < %(per_hour)s
),
forgotten as (
    delete from email_verification_codes where email = %(email)s and created_at < owl_now() - interval '1 day'
),
issued as (
    insert into email_verification_codes (email, code_hash, expires_at, created_at)
    select %(email)s, %(code_hash)s, owl_now() + interval '10 minutes', owl_now() from recent where number < %(per_hour)s
    returning id
)
select issued.id, ceil(extract(epoch from recent.first_at + interval '1 hour' - owl_now()))::int
from recent left join issued on true;
