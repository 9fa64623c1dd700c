-- One batch of rows that we have locked, after what hangs on them.
delete from {table} where {key} = any(%(keys)s);
