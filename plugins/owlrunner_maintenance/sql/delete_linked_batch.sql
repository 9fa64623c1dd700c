-- One batch. A place may have got a new row since it was looked at: only one that belongs to these goes.
delete from {table} where ctid = any(%(places)s::tid[]) and {column} = any(%(ids)s);
