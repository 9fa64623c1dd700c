-- How many of a team's runs that fit the filters are in which status, and whether that is all of them. Of each status the newest
-- so many are looked at: to count a million takes longer than anybody looks at a number. Each goes by an index of its own;
-- completed runs have none, but nearly all runs are completed.
with since as (
    select coalesce(%(since)s::timestamptz, owl_now() - %(since_ago)s::interval, '-infinity') as since
),
looked_at as materialized (
    (select status, job_type, project_id, created_at, completed_at from job_runs
        where team_id = %(team_id)s and status = 'completed' order by created_at desc, id desc limit %(most)s)
    union all
    (select status, job_type, project_id, created_at, completed_at from job_runs
        where team_id = %(team_id)s and status = 'failed' order by completed_at desc limit %(most)s)
    union all
    (select status, job_type, project_id, created_at, completed_at from job_runs
        where team_id = %(team_id)s and status = 'cancelled' order by created_at desc, id desc limit %(most)s)
    union all
    (select status, job_type, project_id, created_at, completed_at from job_runs
        where team_id = %(team_id)s and status = 'running' limit %(most)s)
    union all
    (select status, job_type, project_id, created_at, completed_at from job_runs
        where team_id = %(team_id)s and status = 'pending' limit %(most)s)
)
select status,
    count(*) filter (
        where created_at >= since and (%(job_type)s::text is null or job_type = %(job_type)s)
            and (%(project_id)s::uuid is null or project_id = %(project_id)s)
    ),
    -- What was not looked at is older than what was (a run that failed earlier was created earlier still); but those that are
    -- active come in no order.
    count(*) < %(most)s or status > 'running' and min(case when status = 'failed' then completed_at else created_at end) < min(since)
from looked_at, since
group by status;
