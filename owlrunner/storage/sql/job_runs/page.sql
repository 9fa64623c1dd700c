-- One page of a team's runs, newest first. The cursor names the last row of the page before by time (to the microsecond)
-- and id, so that rows of the same instant are neither lost nor repeated.
select id, job_type, status, team_id, project_id, triggered_by, owl_short(params, %(most)s), progress, owl_short(result, %(most)s), owl_cut(error, %(most)s), notify,
    started_at, completed_at, created_at, run_at, priority, attempt, max_attempts, server_id, cancel_requested_at, cancelled_by,
    owl_left_out(params, result, %(most)s)
from job_runs
where team_id = %(team_id)s
    and (created_at, id) < (coalesce(%(before)s::timestamptz, 'infinity'), coalesce(%(before_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    and created_at >= coalesce(%(since)s::timestamptz, owl_now() - %(since_ago)s::interval, '-infinity')
    and created_at <= coalesce(%(until)s::timestamptz, owl_now() - %(until_ago)s::interval, 'infinity')
    and (%(job_type)s::text is null or job_type = %(job_type)s)
    and (%(status)s::job_status is null or status = %(status)s::job_status)
    and (%(project_id)s::uuid is null or project_id = %(project_id)s)
order by created_at desc, id desc
limit %(limit)s;
