-- In which status a team's newest runs are, of those that the filters leave. Not all runs: to count a million takes longer than
-- anybody looks at a number.
select status, count(*) from (
    select status, job_type, project_id, created_at from job_runs
    where team_id = %(team_id)s
    order by created_at desc, id desc
    limit %(newest)s
) newest
where created_at >= coalesce(%(since)s::timestamptz, owl_now() - %(since_ago)s::interval, '-infinity')
    and (%(job_type)s::text is null or job_type = %(job_type)s)
    and (%(project_id)s::uuid is null or project_id = %(project_id)s)
group by status;
