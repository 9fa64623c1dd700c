-- Dropping a partition locks its parent anyway. Taken first, as those who write take it first, so that nobody deadlocks.
lock table only {parent} in access exclusive mode;
