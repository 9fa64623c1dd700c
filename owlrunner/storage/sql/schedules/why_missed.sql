-- Who was on record as alive at fire times that nobody decided: any server at all, and one that offers the job type. A dead server
-- counts until its lease ran out.
select t.fire_time, count(s.id) > 0, coalesce(bool_or(%(job_type)s::text = any(s.job_types)), false)
from unnest(%(times)s::timestamptz[]) as t (fire_time)
left join servers s on s.started_at <= t.fire_time and least(s.lease_expires_at, s.buried_at) > t.fire_time
group by t.fire_time;
