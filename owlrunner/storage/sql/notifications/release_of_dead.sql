-- What dead servers were sending is due now, and given up where it took ten servers with it: a try is counted before it ends a process.
with released as (
    update notifications n
    set server_id = null, due_at = owl_now(), restarts = n.restarts + 1,
        status = case when n.restarts >= 9 then 'given_up' else n.status end,
        settled_at = case when n.restarts >= 9 then owl_now() end,
        last_error = case when n.restarts >= 9 then 'ten servers have died while they were sending it' else n.last_error end
    where n.status = 'pending' and n.server_id is not null
        and not exists (select from servers s where s.id = n.server_id and s.buried_at is null)
    returning n.id
)
select count(*), (select pg_notify('owlrunner_notifications', '') from released limit 1) from released;
