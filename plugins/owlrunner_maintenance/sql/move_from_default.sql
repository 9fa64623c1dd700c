-- Takes the rows of a range out of the default partition and into the table that is about to be attached. Generated columns are
-- left out, because they are computed anew.
with moved as (
    delete from {default} where {column} >= {lower} and {column} < {upper} returning {columns}
)
insert into {partition} ({columns}) select {columns} from moved;
