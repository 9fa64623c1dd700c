-- Fires that wait for a run to end, where it has ended.
select f.schedule, f.fire_time from schedule_fires f
join schedules s on s.name = f.schedule
where f.outcome = 'queued'
    and not exists (select from job_runs r where r.id = f.active_run_id and r.status in ('pending', 'running'))
for update of f skip locked;
