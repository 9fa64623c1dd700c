-- The root itself: where every chain begins.
select {columns} from {root} where {key} = %(id)s
