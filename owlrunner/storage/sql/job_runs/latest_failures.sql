-- The runs of a team that failed last, by the time at which they failed: one that ran for days may have been created before all others.
select id, job_type, status, team_id, project_id, triggered_by, owl_short(params, %(most)s), progress, owl_short(result, %(most)s), owl_cut(error, %(most)s), notify,
    started_at, completed_at, created_at, run_at, priority, attempt, max_attempts, server_id, cancel_requested_at, cancelled_by,
    owl_left_out(params, result, %(most)s)
from job_runs
where team_id = %(team_id)s and status = 'failed'
order by completed_at desc
limit %(limit)s;
