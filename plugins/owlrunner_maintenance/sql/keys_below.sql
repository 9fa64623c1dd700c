-- Rows that hang on the root by one chain of foreign keys, by the columns that the next link refers to.
select {columns} from {table} where ({reference}) in ({above})
