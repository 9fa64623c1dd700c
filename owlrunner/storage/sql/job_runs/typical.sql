-- How long a team's newest runs of a span took, by job type: how many completed and did not, and percentiles of those that did.
select job_type, count(*) filter (where status = 'completed'), count(*) filter (where status = 'failed'),
    percentile_cont(array[0.5, 0.95, 1]) within group (order by extract(epoch from completed_at - started_at)::float8)
        filter (where status = 'completed')
from (
    select job_type, status, started_at, completed_at from job_runs
    where team_id = %(team_id)s and created_at > owl_now() - %(span)s
    order by created_at desc, id desc
    limit %(newest)s
) newest
group by job_type
order by count(*) desc, job_type;
