-- End what waits for a schedule that is gone, so that nothing old fires should it come back.
with forgotten as (
    delete from schedule_looks l where not exists (select from schedules s where s.name = l.schedule)
)
update schedule_fires f
set outcome = 'skipped', reason = 'the schedule was removed or switched off before its turn came'
where f.outcome = 'queued' and not exists (select from schedules s where s.name = f.schedule);
