-- What was soft-deleted, for whoever looks again and again whether a run was created for it at that very moment.
-- compatible: yes

create index projects_deleted_idx on projects (deleted_at) where deleted_at is not null;
create index teams_deleted_idx on teams (deleted_at) where deleted_at is not null;
