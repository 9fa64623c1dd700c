-- The root itself, below which nothing is left.
delete from {root} where {key} = %(id)s;
