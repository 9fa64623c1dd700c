-- The newest notifications, of one run or of all; ids grow with time. Those about missed fire times belong to no run.
select n.id, n.run_id, r.job_type, n.notifier, n.recipient, n.status, n.attempt, case when n.status = 'pending' then n.due_at end,
    n.last_error, n.created_at, n.settled_at, n.subject,
    array(select jsonb_object_keys(n.missed_fires) order by 1)
from notifications n
left join job_runs r on r.id = n.run_id
where (%(run_id)s::uuid is null or n.run_id = %(run_id)s)
    and (%(status)s::text is null or n.status = %(status)s::notification_status)
order by n.id desc
limit %(limit)s;
