-- The project's own API key. A row that was switched off or deleted is no integration, even if it still holds a key.
select config ->> 'api_key'
from project_integrations
where project_id = %(project_id)s and provider = 'revenuecat' and enabled and deleted_at is null;
