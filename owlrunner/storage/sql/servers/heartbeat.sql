-- Stay alive. No row comes back when the server has been buried: its runs belong to others now. A lease that has run out but
-- that nobody has acted upon may be renewed: whoever buries locks the row, so it is one or the other.
update servers set lease_expires_at = owl_now() + %(lease)s * interval '1 second'
where id = %(id)s and buried_at is null
returning id;
