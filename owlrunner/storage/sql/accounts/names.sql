-- How people call those who started or cancelled runs. A key that was revoked keeps its name.
select 'manual:user:' || id, email from users where id = any(%(users)s)
union all
select 'manual:api_key:' || id, 'key ' || name from api_keys where id = any(%(keys)s);
