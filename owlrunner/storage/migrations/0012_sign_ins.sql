-- Where login codes were asked for, which browsers and addresses somebody has signed in from, and what happened about sign-ins.
-- compatible: yes

alter table email_verification_codes
    -- The hash of a key that only the browser has which asked; null for a program.
    add column browser text,
    -- The client's address, where it is known.
    add column client text,
    -- Asked for from where somebody had signed in with this address before.
    add column from_known boolean not null default false,
    add column undelivered boolean not null default false;
create index email_verification_codes_client_idx on email_verification_codes (client, created_at);
create index email_verification_codes_created_at_idx on email_verification_codes (created_at);

create table known_origins (
    email varchar(255) not null,
    -- "browser:" and the hash of its key, or "client:" and an address.
    mark text not null,
    used_at timestamptz not null,
    primary key (email, mark)
);

create table security_events (
    id uuid primary key default gen_random_uuid(),
    at timestamptz not null default owl_now(),
    action text not null,
    email text,
    client text,
    user_agent text
);
create index security_events_at_idx on security_events (at);
create index security_events_failures_idx on security_events (client, at) where action = 'sign_in_failed';

-- By its owner, so that a role that may only add to the events can still have old ones forgotten: none that is younger than 90 days.
create function owl_forget_security_events(days int) returns void language sql volatile security definer set search_path from current as $$
    delete from security_events where at < owl_now() - greatest(days, 90) * interval '1 day'
$$;
