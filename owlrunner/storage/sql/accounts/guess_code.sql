-- One guess at the live code of an address that the same browser, or a program, has asked for: it is used up if right, and
-- counted if wrong, by the same statement. Parallel guesses queue up at the row and look at it anew, so that no code takes more
-- wrong guesses than it may, nor is used twice. No row: there is no live code (any more).
update email_verification_codes
set used_at = case when code_hash = %(code_hash)s then owl_now() end,
    wrong_guesses = wrong_guesses + (code_hash <> %(code_hash)s)::int
where email = %(email)s and browser is not distinct from %(browser)s::text
    and used_at is null and expires_at > owl_now() and wrong_guesses < %(guesses)s
returning used_at is not null;
