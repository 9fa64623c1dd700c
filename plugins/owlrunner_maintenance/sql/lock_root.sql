-- Whether a root is still to go, and where it is. It stays so for this transaction: whoever restores it or hangs new rows on it
-- waits for us, or we have waited for them and looked again.
select tableoid::bigint, ctid::text
from {root}
where {key} = %(id)s and {deleted_at} < %(cutoff)s
for {strength};
