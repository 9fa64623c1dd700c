-- What dead servers were sending is due now.
with released as (
    update notifications n set server_id = null, due_at = owl_now()
    where n.status = 'pending' and n.server_id is not null
        and not exists (select from servers s where s.id = n.server_id and s.buried_at is null)
    returning n.id
)
select count(*), (select pg_notify('owlrunner_notifications', '') from released limit 1) from released;
