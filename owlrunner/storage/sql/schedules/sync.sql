-- Make the table what the configuration says: what is not in it stops, what is new or has changed counts from now on (a new cron
-- expression must not fire for the past), and what is unchanged goes on where it was, so that fires missed meanwhile are seen.
with wanted as (
    select * from unnest(%(names)s::text[], %(job_types)s::text[], %(definitions)s::jsonb[]) as w (name, job_type, definition)
),
gone as (
    delete from schedules s where not exists (select from wanted where wanted.name = s.name)
)
insert into schedules (name, job_type, definition, decided_until)
select name, job_type, definition, owl_now() from wanted
on conflict (name) do update
    set job_type = excluded.job_type, definition = excluded.definition, updated_at = owl_now(),
        decided_until = greatest(schedules.decided_until, owl_now())
    where schedules.definition <> excluded.definition;
