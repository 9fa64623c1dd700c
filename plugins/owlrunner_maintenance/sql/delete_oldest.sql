-- One batch. A place may have got a new row since it was looked at: only one that is old enough goes.
delete from {partition}
where ctid = any(%(places)s::tid[]) and {column} <= %(until)s::timestamptz;
