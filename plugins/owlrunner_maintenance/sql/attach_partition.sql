-- SHARE UPDATE EXCLUSIVE on the parent, beside which rows go in and out; CREATE TABLE … PARTITION OF would shut everybody out.
alter table {parent} attach partition {partition} for values from ({lower}) to ({upper});
