-- The keys of locked rows: others belong to them without a foreign key.
select {key} from {table} where {at_places};
