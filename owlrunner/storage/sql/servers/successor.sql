-- Another living server under this name. One that had it before us has been marked dead by our own registration.
select id from servers where name = %(name)s and id <> %(id)s and buried_at is null and lease_expires_at > owl_now();
