-- Queue up behind any other server that is claiming runs of a job type with a limit, until the transaction ends. A statement of its own:
-- the claim that follows must take its snapshot after the lock is ours, or two servers would count the same room.
select pg_advisory_xact_lock(hashtext('owlrunner max_running'), hashtext(%(job_type)s));
