-- From where what the audit log tells was asked for; and what the operator did for no team in particular.
-- compatible: yes

alter table audit_logs
    add column client text,
    add column user_agent text,
    alter column team_id drop not null;
create index audit_logs_timestamp_idx on audit_logs ("timestamp", id);

create function owl_audit_trigger(
    run_id uuid, job_type text, team_id uuid, project_id uuid, actor_type audit_actor_type, actor_id text, client text, user_agent text)
returns void language sql volatile as $$
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata, client, user_agent)
    values ($3, $5, $6, 'create', 'job_run', $1::text, jsonb_build_object('job_type', $2, 'project_id', $4), $7, $8)
$$;
