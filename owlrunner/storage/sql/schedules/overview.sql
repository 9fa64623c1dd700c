-- What is deployed, each with the last fire time on record and what has become of its run. The time comes along because the
-- next fire time counts from the database's now.
select owl_now(), s.name, s.job_type, s.definition, f.fire_time, f.outcome, f.reason, f.run_id, f.active_run_id, r.status
from schedules s
left join lateral (select * from schedule_fires where schedule = s.name order by fire_time desc limit 1) f on true
left join job_runs r on r.id = f.run_id
order by s.name;
