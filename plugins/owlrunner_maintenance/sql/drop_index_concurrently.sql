-- What an interrupted CREATE INDEX CONCURRENTLY leaves behind: an index that is kept up to date and never used.
drop index concurrently if exists {index};
