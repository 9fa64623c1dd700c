-- Delete what was settled long ago about schedules. What is about a run goes with the run.
delete from notifications where run_id is null and settled_at < owl_now() - %(days)s * interval '1 day';
