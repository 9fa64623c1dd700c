-- About how much there is to do, for the progress: what has to stay is counted too.
select
    (select count(*) from job_runs where id < %(bound)s and completed_at < %(cutoff)s)
    + (select count(*) from schedule_fires where fire_time < %(cutoff)s and decided_at < %(cutoff)s);
