-- Keep the user with this address, if there is one, from being deleted until the transaction ends; or wait for the end of who is being
-- deleted. Before anything else is locked: whoever deletes a user locks the user first, too.
select from users where email = %(email)s for key share;
