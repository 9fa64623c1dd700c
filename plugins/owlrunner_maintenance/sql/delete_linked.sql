-- What belongs to these rows without a foreign key.
delete from {table} where {column} = any(%(ids)s);
