-- For this transaction alone: each step of these walks has one good plan, along an index from where the last step ended. Right
-- after a restore or a bulk load there are no statistics that say so, and a step would read and sort the whole history.
select set_config(name, 'off', true)
from unnest('{{enable_seqscan,enable_bitmapscan,enable_sort,enable_hashjoin,enable_mergejoin,jit}}'::text[]) as name;
