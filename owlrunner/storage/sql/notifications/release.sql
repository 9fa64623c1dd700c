-- A server that leaves gives back what it could not send, or what it does not know whether it has sent, and rings for the others.
with released as (
    update notifications set server_id = null, due_at = owl_now() where status = 'pending' and server_id = %(server_id)s
    returning id
)
select pg_notify('owlrunner_notifications', '') from released limit 1;
