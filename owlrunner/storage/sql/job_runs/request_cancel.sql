-- Ask for a run to be cancelled: a pending one ends at once, a running one is marked and its server is woken. A second
-- request changes nothing. No row: the run has ended, or is not there.
with asked as (
    update job_runs
    set cancel_requested_at = coalesce(cancel_requested_at, owl_now()),
        cancelled_by = coalesce(cancelled_by, %(actor)s),
        completed_at = case when status = 'pending' then owl_now() end,
        status = case when status = 'pending' then 'cancelled' else status end
    where id = %(id)s and status in ('pending', 'running')
    returning id, team_id, status
),
audit as (
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata, client, user_agent)
    select team_id, %(audit_actor_type)s::audit_actor_type, %(audit_actor_id)s, 'update', 'job_run', id::text, '{"cancel_requested": true}',
        %(audit_client)s, %(audit_user_agent)s
    from asked where %(audit_actor_type)s::text is not null
),
bell as (
    select pg_notify('owlrunner_held', '') from asked where status = 'running'
)
select asked.status from asked left join bell on true;
