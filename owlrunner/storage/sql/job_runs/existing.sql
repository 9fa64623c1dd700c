-- Which of these ids are runs? Asked after a trigger whose answer was lost.
select id from job_runs where id = any(%(ids)s::uuid[]);
