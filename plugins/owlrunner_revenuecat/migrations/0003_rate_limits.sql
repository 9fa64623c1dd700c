-- How far RevenueCat's rate limits are used up. They count per API key, whichever server or project asks.
create table revenuecat_rate_limits (
    -- SHA-256 of the key, hex: the key itself is long and random, so the hash cannot be guessed back.
    key_hash text not null,
    -- RevenueCat counts requests about customers and about the project's configuration apart.
    kind text not null,
    -- Requests have been promised up to this moment; the next one may go out then.
    booked_until timestamptz not null,
    primary key (key_hash, kind)
) with (fillfactor = 50);
