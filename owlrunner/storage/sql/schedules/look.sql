-- The time, and of each schedule that is deployed as this server knows it: what has been decided until when, since when servers have
-- been looking without a gap, and whether a fire waits, for a run that is still active or for one that has ended.
--
-- That somebody looked is written down, but not at every look, and once for all servers.
with ours as (
    select s.name, s.decided_until, l.since, l.last
    from unnest(%(names)s::text[], %(fingerprints)s::text[]) as o (name, fingerprint)
    join schedules s on s.name = o.name and owl_fingerprint(s.definition) = o.fingerprint
    left join schedule_looks l on l.schedule = s.name
),
looked as (
    insert into schedule_looks as l (schedule, since, last)
    select name, owl_now(), owl_now() from ours
    where last is null or owl_now() - last not between interval '0' and %(write_every)s
    order by name
    on conflict (schedule) do update
        set since = case when owl_now() - l.last > %(gap)s then excluded.since else least(l.since, excluded.since) end,
            last = excluded.last
    returning schedule, since
)
select owl_now(), ours.name, ours.decided_until, coalesce(looked.since, ours.since), waiting.first, waiting.startable
from ours
left join looked on looked.schedule = ours.name
cross join lateral (
    select min(f.fire_time) as first, coalesce(bool_or(r.id is null), false) as startable
    from schedule_fires f
    left join job_runs r on r.id = f.active_run_id and r.status in ('pending', 'running')
    where f.schedule = ours.name and f.outcome = 'queued'
) as waiting
order by ours.name;
