-- What stands around active runs, to tell what each waits for. Told what somebody has just seen of them, so that the answer
-- fits that: a run that has left its server meanwhile does not make the server silent.
select a.id, owl_now(),
    exists (select from servers where buried_at is null and lease_expires_at > owl_now()),
    exists (select from servers where buried_at is null and lease_expires_at > owl_now() and a.job_type = any(job_types)),
    not exists (
        select from job_runs r
        where a.status = 'pending' and r.id = a.id and r.unreadable_by is not null
            and not exists (
                select from servers s cross join unnest(s.job_types, s.fingerprints) as offer (job_type, fingerprint)
                where s.buried_at is null and s.lease_expires_at > owl_now() and offer.job_type = a.job_type
                    and offer.fingerprint <> all(r.unreadable_by))),
    case when a.status = 'pending' and a.attempt > 0 then (
        select message from job_run_logs l
        where l.run_id = a.id and l.attempt = a.attempt and l.level in ('warning', 'error', 'critical')
        order by seq desc limit 1
    ) end,
    s.name,
    a.status = 'running' and (s.id is null or s.buried_at is not null or s.lease_expires_at <= owl_now())
        and exists (select from job_runs r where r.id = a.id and r.status = 'running' and r.server_id = a.server_id),
    s.lease_expires_at
from unnest(%(ids)s::uuid[], %(statuses)s::text[], %(job_types)s::text[], %(attempts)s::int[], %(server_ids)s::uuid[])
    as a (id, status, job_type, attempt, server_id)
left join servers s on s.id = a.server_id;
