-- How many users a sync goes over: those of users.sql, without those whom RevenueCat calls anonymous by their ids.
select count(*) from app_users
where project_id = %(project_id)s and not is_anonymous and not starts_with(user_id, '$RCAnonymousID:');
