-- Ended runs that stay however old they are: of each system job type the last that ended, whoever looks for it, and the last that
-- was not cancelled, which alerts about changes compare with (owl_is_alert); and the run of each schedule's last fire, whose
-- status is shown with the schedule. What ends from now on makes none of the others one of these.
with recursive system_job_types as (
    (
        select job_type from job_runs where team_id is null and completed_at is not null
        order by job_type limit 1
    )
    union all
    select (
        select r.job_type from job_runs r
        where r.team_id is null and r.completed_at is not null and r.job_type > found.job_type
        order by r.job_type limit 1
    )
    from system_job_types found where found.job_type is not null
)
select last_one.id
from system_job_types found
cross join lateral (
    (
        select r.id from job_runs r
        where r.job_type = found.job_type and r.team_id is null and r.completed_at is not null
        order by r.completed_at desc limit 1
    )
    union all
    (
        select r.id from job_runs r
        where r.job_type = found.job_type and r.team_id is null and r.completed_at is not null and r.status <> 'cancelled'
        order by r.completed_at desc limit 1
    )
) as last_one
union
select last_fire.run_id
from schedules s
cross join lateral (
    select f.run_id from schedule_fires f where f.schedule = s.name order by f.fire_time desc limit 1
) as last_fire
where last_fire.run_id is not null;
