-- The API keys of some teams, newest first; never their hashes.
select k.id, k.key_prefix, k.key_type, k.team_id, k.name, k.created_by, k.permissions, k.created_at, k.updated_at, k.last_used_at, k.expires_at, u.email
from api_keys k join users u on u.id = k.created_by
where k.team_id = any(%(team_ids)s) and k.deleted_at is null
order by k.created_at desc, k.id desc;
