-- One batch. A row that somebody else removes this moment, as a user signs in, is theirs.
with gone as materialized (
    select {key} from {table} where {key} = any(%(keys)s) and expires_at < %(expired)s for update skip locked
)
delete from {table} as t using gone where t.{key} = gone.{key};
