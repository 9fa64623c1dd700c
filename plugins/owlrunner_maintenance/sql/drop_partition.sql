-- Without CASCADE: what others built upon the partition is not ours to drop.
drop table {partition};
