-- One migrating process at a time; the lock is given back when the transaction ends, however it ends.
select pg_advisory_xact_lock(hashtext('owlrunner migrations'));
