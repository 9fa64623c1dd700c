-- Note that RevenueCat was asked about users of whom there is nothing else to write.
with locked as (
    select u.id
    from app_users u
    where u.project_id = %(project_id)s and u.user_id = any(%(user_ids)s::text[])
    -- In one order, so that two writers cannot wait for each other.
    order by u.id
    for update of u
)
update app_users u set revenuecat_tried_at = owl_now() from locked l where u.id = l.id;
