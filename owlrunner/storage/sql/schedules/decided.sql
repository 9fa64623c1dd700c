-- Fire times up to here are on record. Never backwards: the time is that of the beginning of the transaction, and before this one
-- had the lock another server may have decided more.
update schedules set decided_until = greatest(decided_until, %(until)s) where name = %(name)s;
