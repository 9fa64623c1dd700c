-- Take what is due, for each notifier as much as there is room for, and look up what there is to say. Whoever takes one has
-- until its new due time: should we die, a recovery makes it due at once, and failing that the time does.
--
-- Whoever asked to be told of a run must still be one of those who may read it; else the notification is given up here.
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
checked as materialized (
    select n.id, r.team_id is null or n.recipient is not distinct from owl_requester(r.triggered_by, r.team_id) as allowed
    from notifications n left join job_runs r on r.id = n.run_id
    -- An array instead of a join, as claim_pending.sql has it.
    where n.id = any(array(select id from due))
),
withdrawn as (
    update notifications
    set status = 'given_up', settled_at = owl_now(), last_error = 'the recipient may not read the run any more'
    where id = any(array(select id from checked where not allowed))
),
taken as (
    update notifications n
    set attempt = n.attempt + 1, server_id = %(server_id)s, due_at = owl_now() + %(patience)s * interval '1 second'
    where n.id = any(array(select id from checked where allowed))
    returning n.*
)
select taken.id, taken.notifier, taken.recipient, taken.attempt, p.name, t.name, taken.subject = 'stranded', taken.created_at, taken.missed_fires,
    r.id, r.job_type, r.status, r.team_id, r.project_id, r.triggered_by, r.params, r.progress, r.result, r.error, r.notify, r.started_at,
    r.completed_at, r.created_at, r.run_at, r.priority, r.attempt, r.max_attempts, r.server_id, r.cancel_requested_at, r.cancelled_by
from taken
left join job_runs r on r.id = taken.run_id
left join projects p on p.id = r.project_id
left join teams t on t.id = r.team_id;
