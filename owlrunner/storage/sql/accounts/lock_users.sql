-- Wait until nobody is about to sign in as one of these users, or to make or get something that refers to them, and keep everybody
-- from it until the transaction ends. In the order of ids, so that two who delete each other's heir do not wait in a circle.
select from users where id = any(%(ids)s) order by id for update;
