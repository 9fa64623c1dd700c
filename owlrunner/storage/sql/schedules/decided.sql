-- Fire times up to here are on record.
update schedules set decided_until = %(until)s where name = %(name)s;
