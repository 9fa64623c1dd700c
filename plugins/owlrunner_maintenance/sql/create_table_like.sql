-- A table of the parent's shape that nobody sees yet: indexing it and checking it take nobody's time. Identity columns are
-- left out, because a partition takes its parent's.
create table {partition} (
    like {parent} including defaults including constraints including generated including storage including comments
) {tablespace};
