-- Is there anything to recover? One cheap statement, so that looking often costs nothing.
select exists (select from servers where buried_at is null and lease_expires_at < owl_now())
    or exists (
        select from job_runs r where r.status = 'running'
            and not exists (select from servers s where s.id = r.server_id and s.buried_at is null));
