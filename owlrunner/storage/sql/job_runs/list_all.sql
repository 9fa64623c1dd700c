-- The newest runs of everybody. In the order of the ids, which grow with time: an index on the time alone would cost every
-- trigger something, for the sake of a list that only the owner asks for.
select r.id, r.job_type, r.status, r.team_id, r.project_id, r.triggered_by, owl_short(r.params, %(most)s), r.progress, owl_short(r.result, %(most)s), owl_cut(r.error, %(most)s), r.notify,
    r.started_at, r.completed_at, r.created_at, r.run_at, r.priority, r.attempt, r.max_attempts, r.server_id, r.cancel_requested_at, r.cancelled_by,
    owl_left_out(r.params, r.result, %(most)s),
    r.schedule, r.fire_time, r.restarts, t.slug, p.slug, s.name
from job_runs r
left join teams t on t.id = r.team_id
left join projects p on p.id = r.project_id
left join servers s on s.id = r.server_id
where (%(job_type)s::text is null or r.job_type = %(job_type)s)
    and (%(status)s::text is null or r.status = %(status)s::job_status)
    and r.created_at >= coalesce(%(since)s::timestamptz, owl_now() - %(since_ago)s::interval, '-infinity')
order by r.id desc
limit %(limit)s;
