-- Become the one who decides, until the transaction ends. No row: somebody else is deciding this moment, or the schedule is not
-- what we think it is any more.
select owl_now(), decided_until, exists (select from schedule_fires f where f.schedule = schedules.name and f.outcome = 'queued')
from schedules
where name = %(name)s and definition = %(definition)s::jsonb
for update skip locked;
