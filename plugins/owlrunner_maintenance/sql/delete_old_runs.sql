-- The runs of a batch that are locked, after what hangs on them.
delete from job_runs where id = any(%(ids)s::uuid[]);
