-- What DROP and TRUNCATE take anyway; taken first, so that what is looked at then stays so.
lock table {partition} in access exclusive mode {wait};
