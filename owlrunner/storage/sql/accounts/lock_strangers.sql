-- Queue up behind whichever stranger asks for a code, for whatever address and from wherever, until the transaction ends: the limits by
-- client and over all are counted and then acted upon. Taken before the address's lock, by everybody who takes both.
select pg_advisory_xact_lock(hashtext('owlrunner login codes of strangers'), 0);
