-- Rows by their places. Two partitions have the same places, hence the table beside each.
ctid = any(%(places)s::tid[])
    and (tableoid, ctid) in (select * from unnest(%(relations)s::oid[], %(places)s::tid[]))
