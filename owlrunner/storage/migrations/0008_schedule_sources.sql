-- Where a schedule comes from, since when servers have looked at it, and more than one fire that waits.
-- compatible: yes

-- A server removes only what its own file, or the defaults of its own job types, brought in.
alter table schedules add column source varchar(10) not null default 'file'
    constraint schedules_source check (source in ('file', 'default'));
-- Until the next server starts and says so itself, by the names that defaults have.
update schedules set source = 'default' where name = job_type;

-- Servers compare a schedule with their own by this. PostgreSQL writes equal jsonb of one row as one text, whoever asks for it.
create function owl_fingerprint(definition jsonb) returns text language sql stable parallel safe as $$
    select encode(sha256(convert_to(definition::text, 'UTF8')), 'hex')
$$;

-- Whether a server that knew the schedule was there at a fire time. Not in schedules, whose rows are locked while somebody decides,
-- and without a foreign key, which would wait for that lock, too.
create table schedule_looks (
    schedule varchar(100) primary key,
    -- Since then there was no gap between two looks that is longer than a fire may be late.
    since timestamptz not null,
    last timestamptz not null
) with (fillfactor = 50);
-- What nobody looks at for a week counts as abandoned; that week begins now.
insert into schedule_looks (schedule, since, last) select name, owl_now(), owl_now() from schedules;

-- With missed = 'all' several fires wait for one another. That no more than one waits otherwise is decided under the schedule's lock.
drop index schedule_fires_one_queued_idx;
create index schedule_fires_queued_idx on schedule_fires (schedule, fire_time) where outcome = 'queued';
