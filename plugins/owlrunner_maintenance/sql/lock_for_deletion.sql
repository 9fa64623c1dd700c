-- What DELETE takes anyway; taken first, so that nobody detaches the partition between the look at it and the deletion.
lock table {partition} in row exclusive mode;
