-- Whether a root is still to go, now that nobody can restore it or hang new rows on it any more.
select from {root} where {key} = %(id)s and {deleted_at} < %(cutoff)s for update;
