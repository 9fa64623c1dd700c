-- One server at a time changes which schedules there are, so that two that start together do not wait for each other's rows.
select pg_advisory_xact_lock(hashtext('owlrunner schedules'));
