-- Whether a root is there.
select from {root} where {key} = %(id)s;
