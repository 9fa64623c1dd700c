-- The rows of one table that hang on the root by one chain of foreign keys.
delete from {table} where ({columns}) in ({above});
