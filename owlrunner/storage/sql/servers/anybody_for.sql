-- Is any server alive, and does one of them offer this job type? Asked after a trigger: nobody else can execute the run.
select count(*) > 0, coalesce(bool_or(%(job_type)s::text = any(job_types)), false)
from servers where buried_at is null and lease_expires_at > owl_now();
