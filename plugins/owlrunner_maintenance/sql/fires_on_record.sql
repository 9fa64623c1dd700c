-- The schedules that have fires on record, by jumps from one to the next, each with the last fire of one that is still deployed.
with recursive on_record as (
    (select schedule from schedule_fires order by schedule limit 1)
    union all
    select (select f.schedule from schedule_fires f where f.schedule > found.schedule order by f.schedule limit 1)
    from on_record found where found.schedule is not null
)
select found.schedule, (
    select f.fire_time from schedules s join schedule_fires f on f.schedule = s.name
    where s.name = found.schedule
    order by f.fire_time desc limit 1
)
from on_record found
where found.schedule is not null;
