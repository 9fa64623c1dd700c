-- The team that an API key belongs to; revoked keys are gone.
select team_id from api_keys where id = %(id)s and deleted_at is null;
