-- Write many synced users in one statement and tell which attribution keys each was given. Whether a key is unset is decided
-- on the locked row, here and now: the app may have told a user's origin since the run began. "none" alone gives way.
with told as (
    select * from jsonb_to_recordset(%(users)s::jsonb) as t (user_id text, facts jsonb, attribution jsonb, cents bigint)
), locked as (
    select
        u.id, t.user_id, t.facts, t.cents,
        coalesce((
            select jsonb_object_agg(a.key, a.value)
            from jsonb_each_text(t.attribution) a
            where coalesce(u.properties ->> a.key, '') = ''
                or (a.key = 'attribution_source' and u.properties ->> a.key = 'none' and a.value <> 'none')
        ), '{}') as filled
    from app_users u
    join told t on t.user_id = u.user_id
    where u.project_id = %(project_id)s
    -- In one order, so that two writers cannot wait for each other.
    order by u.id
    for update of u
)
update app_users u
set properties = (u.properties - %(owned)s::text[]) || l.facts || l.filled,
    total_revenue_usd_cents = coalesce(l.cents, u.total_revenue_usd_cents),
    revenue_synced_at = case when l.cents is null then u.revenue_synced_at else owl_now() end,
    revenuecat_tried_at = owl_now()
from locked l
where u.id = l.id
returning l.user_id, l.filled;
