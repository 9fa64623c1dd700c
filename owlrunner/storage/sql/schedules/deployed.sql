-- What is deployed after all, by which fingerprint, and whether it is what this server has under that name.
select s.name, s.job_type, s.source, owl_fingerprint(s.definition), coalesce(s.definition = w.definition, false)
from schedules s
left join unnest(%(names)s::text[], %(definitions)s::jsonb[]) as w (name, definition) on w.name = s.name
order by s.name;
