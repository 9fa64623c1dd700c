"""Counts handler calls and tells the driver, through a file that both have mapped.

The standard library only: peers import it, too. A handler pays one addition; a thread copies the count out every
few milliseconds. Times are ``time.monotonic()``, which all processes share.
"""

import mmap
import os
import struct
import threading
import time
from pathlib import Path

VARIABLE = "OWL_TALLY"
"""The environment variable that names the file."""
_FORMAT = struct.Struct("=Qdd")
_INTERVAL = 0.01


class Tally:
    """The count of one process, from its first call on."""

    def __init__(self) -> None:
        self.count = 0
        self.first = 0.0

    def hit(self) -> None:
        """One more."""
        if not self.count:
            self.first = time.monotonic()
        self.count += 1

    def share(self, path: str | None = None) -> None:
        """Keep the driver informed for the rest of this process."""
        path = path or os.environ[VARIABLE]
        shared = _mapped(Path(f"{path}.{os.getpid()}"))
        threading.Thread(target=self._copy, args=(shared,), daemon=True).start()

    def _copy(self, shared: mmap.mmap) -> None:
        seen = -1
        while True:
            if self.count != seen:
                seen = self.count
                _FORMAT.pack_into(shared, 0, seen, self.first, time.monotonic())
            time.sleep(_INTERVAL)


def read(path: Path) -> tuple[int, float]:
    """Calls in all processes that shared under this path, and when the first was."""
    # One that has just been made may still be empty.
    contents = [one.read_bytes() for one in path.parent.glob(f"{path.name}.*")]
    counts = [_FORMAT.unpack(content) for content in contents if len(content) == _FORMAT.size]
    return sum(count for count, _, _ in counts), min((first for count, first, _ in counts if count), default=0.0)


def _mapped(path: Path) -> mmap.mmap:
    path.write_bytes(bytes(_FORMAT.size))
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), _FORMAT.size)


TALLY = Tally()
