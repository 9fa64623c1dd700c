-- Whether somebody has signed in with the address from there: by the browser, or from the client of a program. A browser's client says
-- little: any key may be asked with from there.
select exists (
    select from known_origins
    where email = %(email)s and mark = coalesce('browser:' || %(browser)s::text, 'client:' || %(client)s::text));
