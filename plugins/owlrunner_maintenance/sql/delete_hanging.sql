-- The rows of one table that hang on locked rows by one foreign key.
delete from {child} where ({columns}) in (select {referred} from {parent} where {at_places});
