-- How a team's newest runs of a span ended, by the time of their creation: steps of so many seconds, counted back from now.
select floor(extract(epoch from owl_now() - created_at) / %(step)s)::int as steps_ago, status, count(*) from (
    select created_at, status from job_runs
    where team_id = %(team_id)s and created_at > owl_now() - %(span)s
    order by created_at desc, id desc
    limit %(newest)s
) newest
group by steps_ago, status;
