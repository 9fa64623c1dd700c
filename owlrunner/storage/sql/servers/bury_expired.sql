-- Bury the servers whose lease has run out. A row that is locked is being renewed or buried this moment: skip it.
with expired as (
    select id from servers where buried_at is null and lease_expires_at < owl_now() for update skip locked
)
update servers s set buried_at = owl_now() from expired where s.id = expired.id
returning s.id, s.name;
