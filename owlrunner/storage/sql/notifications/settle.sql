-- Write how a try to send ended: without an error it is sent; for good, or too old after a few tries, it is given up; else it
-- is due again later. Only for the server and the try that hold it: somebody else may have it by now.
with decided as (
    select id, case
        when %(error)s::text is null then 'sent'
        when %(for_good)s or (attempt >= %(fewest_tries)s and created_at < owl_now() - %(give_up_after)s * interval '1 second') then 'given_up'
        else 'pending'
    end::notification_status as status
    from notifications
    where id = %(id)s and attempt = %(attempt)s and server_id = %(server_id)s and status = 'pending'
)
update notifications n
set status = decided.status,
    last_error = %(error)s,
    server_id = null,
    due_at = case when decided.status = 'pending' then owl_now() + %(retry_in)s * interval '1 second' else n.due_at end,
    settled_at = case when decided.status <> 'pending' then owl_now() end
from decided where n.id = decided.id
returning n.status;
