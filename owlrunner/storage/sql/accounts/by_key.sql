-- Who holds this API key, with the key's team. The time of last use is kept to the minute only, in the same statement: a busy
-- key costs one small write a minute instead of one a request. A row that somebody else is touching this moment is left
-- alone, so that no request ever waits for another.
with found as (
    select k.id, k.key_type, k.permissions, k.expires_at <= owl_now() as expired, k.last_used_at, t.id as team_id, t.name, t.slug,
        k.name as key_name
    from api_keys k join teams t on t.id = k.team_id
    where k.key_hash = %(key_hash)s and k.deleted_at is null and t.deleted_at is null
),
stale as (
    select k.id from api_keys k join found on found.id = k.id
    where found.expired is not true and (k.last_used_at is null or k.last_used_at < owl_now() - interval '1 minute')
    for no key update of k skip locked
),
touched as (
    update api_keys k set last_used_at = owl_now() from stale where k.id = stale.id
)
select id, key_type, permissions, expired is true, team_id, name, slug, key_name from found;
