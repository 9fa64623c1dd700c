-- What is old. The ids of runs grow with time (version 7 of RFC 9562: milliseconds in the first 48 bits), so the cutoff has an id
-- too, below which the runs are that were created before it. Login codes and sign-ins are kept for a day after they ran out, as
-- the next code for an address has it.
select
    cutoff,
    (lpad(to_hex(greatest(extract(epoch from cutoff) * 1000, 0)::bigint), 12, '0') || repeat('0', 20))::uuid,
    owl_now() - interval '24 hours'
from (select owl_now() - %(days)s * interval '24 hours' as cutoff) as age;
