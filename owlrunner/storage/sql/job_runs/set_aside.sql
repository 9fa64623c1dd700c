-- Give back runs whose params this server could not read, each still held in that attempt; they were never started, so nothing counts against them.
-- Where no living server is left that may be able to read one it is set aside, out of the way of claims. One that was cancelled is cancelled.
with unread as (
    select * from unnest(%(ids)s::uuid[], %(attempts)s::int[], %(fingerprints)s::text[]) as u (id, attempt, fingerprint)
),
given_back as (
    update job_runs r
    set status = case when r.cancel_requested_at is null then 'pending' else 'cancelled' end::job_status,
        completed_at = case when r.cancel_requested_at is null then null else greatest(owl_now(), r.started_at) end,
        started_at = case when r.cancel_requested_at is null then null else r.started_at end,
        server_id = case when r.cancel_requested_at is null then null else r.server_id end,
        max_attempts = r.max_attempts + 1,
        unreadable_by = r.unreadable_by || u.fingerprint,
        set_aside = r.cancel_requested_at is null and not exists (
            select from servers s cross join unnest(s.job_types, s.fingerprints) as offer (job_type, fingerprint)
            where s.buried_at is null and s.lease_expires_at > owl_now() and offer.job_type = r.job_type
                and offer.fingerprint <> all(r.unreadable_by || u.fingerprint))
    from unread u
    where r.id = u.id and r.attempt = u.attempt and r.server_id = %(server_id)s and r.status::text = 'running'
    -- The ring for each of them, which PostgreSQL makes one: a query of its own beside this one would not be executed where nothing is left to tell.
    returning r.id, pg_notify('owlrunner_pending', '')
)
select id from unread where id not in (select id from given_back);
