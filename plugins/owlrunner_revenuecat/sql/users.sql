-- The users whom RevenueCat may know. Those synced longest ago come first, so that runs which are cut off take turns
-- through a large project instead of beginning with the same users each time.
select user_id
from app_users
where project_id = %(project_id)s and not is_anonymous
order by revenue_synced_at nulls first, user_id;
