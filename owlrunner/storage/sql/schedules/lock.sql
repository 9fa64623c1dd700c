-- Become the one who decides, until the transaction ends. No row: somebody else is deciding this moment, or the schedule is not
-- what we think it is any more.
select owl_now(), s.decided_until, l.since,
    exists (select from schedule_fires f where f.schedule = s.name and f.outcome = 'queued'),
    exists (
        select from schedule_fires f
        where f.schedule = s.name and f.outcome = 'queued' and f.decided_at - f.fire_time <= %(on_time)s
    ),
    (
        select f.active_run_id from schedule_fires f where f.schedule = s.name and f.outcome = 'queued'
        order by f.fire_time limit 1
    )
from schedules s
left join schedule_looks l on l.schedule = s.name
where s.name = %(name)s and owl_fingerprint(s.definition) = %(fingerprint)s
for update of s skip locked;
