-- One run with what stands around it, for the owner: by names, where ids alone would send one looking. The server's name is
-- null once it is forgotten, a week after it was buried.
select r.id, r.job_type, r.status, r.team_id, r.project_id, r.triggered_by, owl_short(r.params, %(most)s), r.progress, owl_short(r.result, %(most)s), owl_cut(r.error, %(most)s), r.notify,
    r.started_at, r.completed_at, r.created_at, r.run_at, r.priority, r.attempt, r.max_attempts, r.server_id, r.cancel_requested_at, r.cancelled_by,
    owl_left_out(r.params, r.result, %(most)s),
    r.schedule, r.fire_time, r.restarts, t.slug, p.slug, s.name
from job_runs r
left join teams t on t.id = r.team_id
left join projects p on p.id = r.project_id
left join servers s on s.id = r.server_id
where r.id = %(id)s;
