-- The users whom RevenueCat may know. Those who were asked about longest ago come first, so that a run that was cut off is
-- continued by the next one. Users who were synced before such times were kept go by when that was.
select user_id
from app_users
where project_id = %(project_id)s and not is_anonymous
order by greatest(revenuecat_tried_at, revenue_synced_at) nulls first, user_id;
