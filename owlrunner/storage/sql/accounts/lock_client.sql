-- Queue up behind whoever guesses at a code from the same client, until the transaction ends. A statement of its own: the count that
-- follows must take its snapshot after the lock is ours, or many guesses at once would all be within the limit.
select pg_advisory_xact_lock(hashtext('owlrunner sign-in'), hashtext(%(client)s));
