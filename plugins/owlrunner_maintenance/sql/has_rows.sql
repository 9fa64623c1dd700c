-- Whether a table holds any row. One that is being deleted counts until that is committed, but then we would not have the lock.
select exists (select from {partition});
