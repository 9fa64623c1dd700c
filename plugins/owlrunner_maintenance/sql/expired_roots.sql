-- The rows whose grace is over, the longest first.
select {key} from {root} where {deleted_at} < %(cutoff)s order by {deleted_at}, {key};
