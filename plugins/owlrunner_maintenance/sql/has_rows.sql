-- Whether there is anything to empty.
select exists (select from {partition});
