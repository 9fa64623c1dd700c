-- Gives the space back like dropping does, and the partition goes on taking late events.
truncate table {partition};
