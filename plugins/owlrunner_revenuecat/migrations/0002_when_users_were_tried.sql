-- When a sync last asked RevenueCat about a user, whatever the answer was: unlike revenue_synced_at it is also set for users whom
-- RevenueCat does not know or refuses, so that they take their turn like all others instead of coming first each time.
-- Not indexed, so that a sync's updates stay HOT. Null until the first sync after this: no table is rewritten.
alter table app_users add column revenuecat_tried_at timestamptz;
