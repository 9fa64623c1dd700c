-- Buried servers are kept for a week, to answer "who ran this?".
delete from servers s where buried_at < owl_now() - interval '7 days'
    and not exists (select from job_runs r where r.server_id = s.id and r.status = 'running');
