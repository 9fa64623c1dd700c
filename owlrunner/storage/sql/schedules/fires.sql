-- Fire times that have been decided, newest first, each with what came of it, and what has become of its run.
select f.schedule, f.fire_time, f.outcome, f.reason, f.run_id, f.active_run_id, r.status, f.decided_at
from schedule_fires f
left join job_runs r on r.id = f.run_id
where (%(schedule)s::text is null or f.schedule = %(schedule)s)
    and (%(outcome)s::text is null or f.outcome = %(outcome)s)
    and f.fire_time >= coalesce(%(since)s::timestamptz, owl_now() - %(since_ago)s::interval, '-infinity')
order by f.fire_time desc, f.schedule
limit %(limit)s;
