-- The rows that hang on rows which we have locked, by one foreign key. Locked rows stay in their places, so that these name them.
select tableoid::bigint, ctid::text
from {child}
where ({columns}) in (select {referred} from {parent} where {at_places})
for {strength};
