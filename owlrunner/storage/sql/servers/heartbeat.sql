-- Stay alive. No row comes back when the server has been marked dead: its runs belong to others now. A lease that has run out but
-- that nobody has acted upon may be renewed: whoever marks it dead locks the row, so it is one or the other. The ring is for those who
-- listen: a connection on which it is missing has fallen silent.
with renewed as (
    update servers set lease_expires_at = owl_now() + %(lease)s * interval '1 second'
    where id = %(id)s and buried_at is null
    returning id
),
ring as (
    select pg_notify('owlrunner_alive', '') from renewed
)
select renewed.id from renewed left join ring on true;
