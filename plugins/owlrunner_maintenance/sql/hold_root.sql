-- Whether a root is still to go, and it stays so for this transaction: restoring it waits for us, or we have waited for it.
select from {root} where {key} = %(id)s and {deleted_at} < %(cutoff)s for share;
