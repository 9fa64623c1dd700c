-- The oldest rows and where they are stored. One pass over the partition, however many batches then delete them.
select ctid::text, {column}::text
from {partition}
order by {column}
limit %(rows)s;
