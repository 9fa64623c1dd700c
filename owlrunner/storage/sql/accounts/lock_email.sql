-- Queue up behind whoever asks for a code for the same address, until the transaction ends. A statement of its own: the count
-- that follows must take its snapshot after the lock is ours, or two requests would both see room for one more code.
select pg_advisory_xact_lock(hashtext('owlrunner login code'), hashtext(%(email)s));
