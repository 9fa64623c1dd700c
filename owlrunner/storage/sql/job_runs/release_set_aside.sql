-- A server has joined: what nobody could read is looked at again where this one has not tried. Bounded, because it may be many.
with again as (
    select r.id
    from unnest(%(job_types)s::text[], %(fingerprints)s::text[]) as o (job_type, fingerprint)
    cross join lateral (
        select id from job_runs
        where status = 'pending' and set_aside and job_type = o.job_type and o.fingerprint <> all(unreadable_by)
        limit 1000
        for update skip locked
    ) as r
)
update job_runs set set_aside = false where id = any(array(select id from again)) returning id;
