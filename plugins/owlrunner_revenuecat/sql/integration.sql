-- The project's own API key, and the id of its RevenueCat project where one is named. A row that was switched off or deleted
-- is no integration, even if it still holds a key.
select id, config ->> 'api_key', config ->> 'project_id'
from project_integrations
where project_id = %(project_id)s and provider = 'revenuecat' and enabled and deleted_at is null;
