-- Take what is due, for each notifier as much as there is room for, and look up what there is to say. Whoever takes one has
-- until its new due time: should we die, a recovery makes it due at once, and failing that the time does.
with due as (
    select n.id
    from unnest(%(notifiers)s::text[], %(rooms)s::int[]) as wanted (notifier, room)
    cross join lateral (
        select id from notifications
        where status = 'pending' and notifier = wanted.notifier and due_at <= owl_now()
        order by due_at
        limit wanted.room
        for update skip locked
    ) as n
),
taken as (
    update notifications n
    set attempt = n.attempt + 1, server_id = %(server_id)s, due_at = owl_now() + %(patience)s * interval '1 second'
    -- An array instead of a join, as claim_pending.sql tells.
    where n.id = any(array(select id from due))
    returning n.*
)
select taken.id, taken.notifier, taken.recipient, taken.attempt, p.name, t.name,
    r.id, r.job_type, r.status, r.team_id, r.project_id, r.triggered_by, r.params, r.progress, r.result, r.error, r.notify, r.started_at,
    r.completed_at, r.created_at, r.run_at, r.priority, r.attempt, r.max_attempts, r.server_id, r.cancel_requested_at, r.cancelled_by
from taken
join job_runs r on r.id = taken.run_id
left join projects p on p.id = r.project_id
left join teams t on t.id = r.team_id;
