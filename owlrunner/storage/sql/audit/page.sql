-- One page of the audit log, newest first: of a team, or of everything, with the names of who did it as far as they are known.
select a.id, a.team_id, a.actor_type::text, a.actor_id, a.action::text, a.resource_type, a.resource_id, a.changes, a.metadata, a."timestamp",
    case when a.actor_type = 'user' then u.email when a.actor_type = 'api_key' then 'key ' || k.name else a.actor_id end, a.client, a.user_agent, t.slug
from audit_logs a
left join teams t on t.id = a.team_id
left join users u on a.actor_type = 'user' and u.id::text = a.actor_id
left join api_keys k on a.actor_type = 'api_key' and k.id::text = a.actor_id
where (%(team_id)s::uuid is null or a.team_id = %(team_id)s)
    and (a."timestamp", a.id) < (coalesce(%(before)s::timestamptz, 'infinity'), coalesce(%(before_id)s::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
    and a."timestamp" >= coalesce(%(since)s::timestamptz, owl_now() - %(since_ago)s::interval, '-infinity')
    and a."timestamp" <= coalesce(%(until)s::timestamptz, owl_now() - %(until_ago)s::interval, 'infinity')
    and (%(resource_type)s::text is null or a.resource_type = %(resource_type)s)
    and (%(resource_id)s::text is null or a.resource_id = %(resource_id)s)
    and (%(actor_id)s::text is null or a.actor_id = %(actor_id)s)
    and (%(action)s::text is null or a.action::text = %(action)s)
order by a."timestamp" desc, a.id desc
limit %(limit)s;
