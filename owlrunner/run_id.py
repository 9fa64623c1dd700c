"""Make ids of runs before the database has seen them, so that a trigger without an answer can be looked up."""

import random
import time
from uuid import UUID


def new_run_id() -> UUID:
    """Return a UUID of version 7 (RFC 9562, with sub-millisecond fractions): ids that one process makes grow with time.

    The time in it keeps the indexes of a long history warm and is used for nothing else; it is this machine's, not the database's.
    """
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = nanoseconds * 4096 // 1_000_000
    # Not a secret: who knows an id still needs a permission.
    return UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random.getrandbits(62))
