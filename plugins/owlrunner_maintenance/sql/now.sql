-- What time it is for everybody: the database's clock, which tests put their own in place of.
select owl_now();
