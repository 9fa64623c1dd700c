-- One batch of rows whose own grace is over. Locking them looks at them again, so that one restored meanwhile stays; one that
-- somebody else works on is left for the next run, and one that others hang on by a key that refuses stays with them.
with expired as (
    select tableoid, ctid
    from {table} as leaf
    where {deleted_at} < %(cutoff)s {held}
    limit %(rows)s
    for update skip locked
)
delete from {table}
where ctid = any(array(select ctid from expired))
    and (tableoid, ctid) in (select tableoid, ctid from expired)
    and {deleted_at} < %(cutoff)s;
