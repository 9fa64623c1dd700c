-- Keep users from being deleted until the transaction ends. Before a team is locked: whoever deletes a user locks the user first, then
-- the teams, and a key that changes hands refers to its new holder.
select from users where id = any(%(ids)s) order by id for key share;
