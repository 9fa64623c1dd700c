-- Forget a code that could not be mailed: it must not count against the address.
delete from email_verification_codes where id = %(id)s and used_at is null;
