-- What has been done stays on record: servers can only add to it. By owlrunner_owner, after the first owlrunner migrate; see roles.sql.
-- soft_delete_cleanup deletes the audit log of a team that is deleted for good, so where servers execute it, leave out audit_logs.

revoke update, delete on audit_logs, security_events from owlrunner_server;
