-- Rows that we have locked.
delete from {table} where {at_places};
