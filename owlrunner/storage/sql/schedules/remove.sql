-- Remove what this server speaks for and does not want: all that a file brought in where it has a file, and the defaults of the job
-- types that it offers. A default of a job type that it has never heard of belongs to servers with another plugin.
--
-- Remove also what no server has looked at for a week: the plugin or the file that brought it in is gone.
delete from schedules s
using (
    select one.name, one.name <> all(%(names)s::text[]) as unwanted,
        case one.source when 'file' then %(owns_file)s else one.job_type = any(%(job_types)s::text[]) end as ours,
        greatest(one.updated_at, l.last) < owl_now() - interval '7 days' as abandoned
    from schedules one left join schedule_looks l on l.schedule = one.name
) as found
where found.name = s.name
    and (found.unwanted and (found.ours or found.abandoned) or found.abandoned and s.source = 'file' and not found.ours)
returning s.name, s.job_type, s.source, found.ours;
