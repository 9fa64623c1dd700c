-- Bring in what is new or has changed; it counts from now on, because a new cron expression must not fire for the past. What is
-- unchanged goes on where it was, so that fires missed meanwhile are seen, and its row is not touched: somebody may be deciding.
--
-- A default does not take the place of a schedule from a file that this server does not have.
with wanted as (
    select * from unnest(%(names)s::text[], %(job_types)s::text[], %(definitions)s::jsonb[], %(sources)s::text[])
        as w (name, job_type, definition, source)
)
insert into schedules (name, job_type, definition, source, decided_until)
select w.name, w.job_type, w.definition, w.source, owl_now()
from wanted w left join schedules s on s.name = w.name
where s.name is null
    or ((s.definition <> w.definition or s.source <> w.source) and (%(owns_file)s or s.source = 'default'))
order by w.name
on conflict (name) do update
    set job_type = excluded.job_type, definition = excluded.definition, source = excluded.source, updated_at = owl_now(),
        decided_until = case when schedules.definition = excluded.definition then schedules.decided_until
            else greatest(schedules.decided_until, owl_now()) end;
