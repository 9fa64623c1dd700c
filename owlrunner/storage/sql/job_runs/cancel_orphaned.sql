-- Cancel the runs that were created while their project or team was being soft-deleted: neither transaction saw the other. What was
-- there before is cancelled by the deletion itself, so only runs of about that moment are looked at.
with gone as (
    select id as project_id, deleted_at, 'project deleted' as why from projects where deleted_at is not null
    union all
    select p.id, t.deleted_at, 'team deleted' from teams t join projects p on p.team_id = t.id where t.deleted_at is not null
),
orphaned as (
    select r.id, gone.why
    from gone
    join job_runs r on r.project_id = gone.project_id and r.created_at > gone.deleted_at - interval '1 minute'
    where r.status in ('pending', 'running') and r.cancel_requested_at is null
),
bell as (
    select pg_notify('owlrunner_held', '') from orphaned limit 1
)
update job_runs r
set cancel_requested_at = owl_now(),
    cancelled_by = orphaned.why,
    completed_at = case when r.status = 'pending' then owl_now() end,
    status = case when r.status = 'pending' then 'cancelled' else r.status end
from orphaned left join bell on true
where r.id = orphaned.id and r.status in ('pending', 'running') and r.cancel_requested_at is null
returning r.id, r.job_type, r.status;
