-- What keeps a row: another that refers to it by a key that refuses its deletion. A row that refers to itself does not.
and not exists (
    select from {child} as holder where {match} and (holder.tableoid, holder.ctid) <> (leaf.tableoid, leaf.ctid)
)
