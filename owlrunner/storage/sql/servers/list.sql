-- The servers, the living before the buried, those that started last first, with what they hold. A lease that has run out is
-- told as negative seconds: nobody has acted upon it yet.
select s.id, s.name, s.version, s.job_types, s.capacity, s.started_at, s.buried_at,
    extract(epoch from s.lease_expires_at - owl_now())::float8, s.lease_expires_at,
    (select count(*) from job_runs r where r.status = 'running' and r.server_id = s.id)
from servers s
order by s.buried_at is not null, s.started_at desc, s.id
limit %(limit)s;
