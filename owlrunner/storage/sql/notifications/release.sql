-- A server that leaves gives back what it could not send, or what it does not know whether it has sent.
update notifications set server_id = null, due_at = owl_now() where status = 'pending' and server_id = %(server_id)s;
