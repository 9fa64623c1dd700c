-- Queue up behind any other server that is claiming runs of job types with a limit, until the transaction ends. A statement of its own:
-- what follows must take its snapshot after the locks are ours, or two servers would count the same runs. In one order, or two
-- servers could wait for each other.
select pg_advisory_xact_lock(hashtext('owlrunner max_running'), key)
from (select distinct hashtext(job_type) as key from unnest(%(job_types)s::text[]) as wanted (job_type) order by key) as ordered;
