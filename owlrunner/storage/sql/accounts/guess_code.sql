-- One guess at the live codes of an address that the same browser, or programs, have asked for: what it fits is used up, the others
-- count a wrong guess, by the same statement. Parallel guesses queue up at the rows and look at them anew, so that no code takes more
-- wrong guesses than it may, nor is used twice. No row: there is no live code (any more).
--
-- A browser has one live code. Of programs any may have asked, so each code has guesses for the client that asked for it, and as many
-- for all others: a stranger elsewhere uses up those alone.
update email_verification_codes
set used_at = case when code_hash = %(code_hash)s then owl_now() end,
    wrong_guesses = wrong_guesses
        + (code_hash <> %(code_hash)s and (browser is not null or client is not distinct from %(client)s::text))::int,
    guesses_elsewhere = guesses_elsewhere
        + (code_hash <> %(code_hash)s and browser is null and client is distinct from %(client)s::text)::int
where email = %(email)s and browser is not distinct from %(browser)s::text and used_at is null and expires_at > owl_now()
    and case when browser is not null or client is not distinct from %(client)s::text then wrong_guesses else guesses_elsewhere end
        < %(guesses)s
returning used_at is not null;
