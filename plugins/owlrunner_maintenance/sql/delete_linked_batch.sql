-- One batch of what belongs to these rows without a foreign key.
delete from {table}
where ctid = any(array(select ctid from {table} where {column} = any(%(ids)s) limit %(rows)s));
