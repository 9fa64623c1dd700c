-- What a trigger and the end of a run cost, made less.
-- compatible: yes

-- A run belongs to its project, and through it to the team. A foreign key to the team as well told nothing more, and made each
-- trigger lock the team's row.
alter table job_runs drop constraint job_runs_team_id_fkey;
-- So that deleting a team, which deletes its projects, still reaches every run of it.
alter table job_runs drop constraint job_runs_project_has_team,
    add constraint job_runs_project_has_team check ((project_id is null) = (team_id is null));

-- As before, in fewer words: PostgreSQL reads the text of every check anew for each statement that writes a run. Statuses are
-- compared by their order: what is greater than running has ended.
alter table job_runs drop constraint job_runs_ended_has_end,
    add constraint job_runs_ended_has_end check ((status > 'running') = (completed_at is not null));

-- Put on record that somebody of the team triggered a run. A function, because a part of a statement that inserts has its price
-- also where there is nothing to insert.
create function owl_audit_trigger(run_id uuid, job_type text, team_id uuid, project_id uuid, actor_type audit_actor_type, actor_id text)
returns void language sql volatile as $$
    insert into audit_logs (team_id, actor_type, actor_id, action, resource_type, resource_id, metadata)
    values ($3, $5, $6, 'create', 'job_run', $1::text, jsonb_build_object('job_type', $2, 'project_id', $4))
$$;

-- PostgreSQL 18 brings the function that 0001 stands in for: quicker, and of two ids that one session makes the later is the
-- greater one also within a millisecond.
do $$
begin
    if current_setting('server_version_num')::int >= 180000 then
        create or replace function owl_uuid7() returns uuid language sql volatile parallel safe as 'select uuidv7()';
    end if;
end
$$;

-- As before, but a short look tells first whether there is anybody to be told: most system runs end with nobody listening.
create or replace function owl_notify_of_end() returns trigger language plpgsql as $$
begin
    if not new.notify and not exists (select from notification_rules where alert_email <> '') then
        return null;
    end if;
    insert into notifications (run_id, notifier, recipient)
    select new.id, notifier, told.recipient
    from notification_rules rules
    cross join unnest(rules.notifiers) as notifier
    cross join lateral (
        select rules.alert_email where new.team_id is null and rules.alert_email <> '' and owl_is_alert(new, rules.alerts)
        union
        select owl_requester(new.triggered_by) where new.notify
    ) as told (recipient)
    where told.recipient is not null
    on conflict on constraint notifications_once do nothing;
    if found then
        perform pg_notify('owlrunner_notifications', '');
    end if;
    return null;
end
$$;
