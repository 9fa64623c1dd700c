-- End a code that could not be mailed. It does not count for whoever asked from where somebody has signed in with the address before. For
-- strangers it counts: that more codes may be asked for than for an address that gets no mail, would tell that somebody is known by it,
-- and a mail server that is away is no reason to let anybody ask without end.
update email_verification_codes set expires_at = owl_now(), undelivered = true where id = %(id)s and used_at is null;
