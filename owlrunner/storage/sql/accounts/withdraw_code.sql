-- End a code that could not be mailed. It does not count for whoever asked, but among those of strangers: a mail server that is
-- away is no reason to let anybody ask without end.
update email_verification_codes set expires_at = owl_now(), undelivered = true where id = %(id)s and used_at is null;
