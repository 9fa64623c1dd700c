-- A doorbell for servers that remember who holds a key: whatever decides about somebody has changed.
-- compatible: yes

create function owl_accounts_changed() returns trigger language plpgsql as $$
begin
    perform pg_notify('owlrunner_accounts', '');
    return null;
end
$$;

-- Not by what every use of a key changes, last_used_at, or a busy key would ring all the time.
create trigger api_keys_changed after update of key_hash, key_type, team_id, permissions, expires_at, deleted_at or delete on api_keys
    for each row execute function owl_accounts_changed();
create trigger teams_changed after update of name, slug, deleted_at or delete on teams
    for each row execute function owl_accounts_changed();
create trigger users_changed after update of email, name or delete on users
    for each row execute function owl_accounts_changed();
create trigger team_members_changed after insert or update or delete on team_members
    for each row execute function owl_accounts_changed();
create trigger user_sessions_changed after update or delete on user_sessions
    for each row execute function owl_accounts_changed();
