-- The time, and what has been decided until when: all that is needed to know what is due, and how long to sleep.
select owl_now(), s.name, s.definition, s.decided_until from schedules s;
