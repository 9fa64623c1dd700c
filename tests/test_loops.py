"""What /ready is told of a server's loops."""

from types import SimpleNamespace
from typing import Any

from owlrunner.runtime.loops import Loops


def test_what_keeps_a_server_from_its_work() -> None:
    """Loops that do not come round and a lost lease, each for itself and both together; nothing where all is well."""
    for late in ([], ["claim: no round for 21 s"]):
        for is_member in (True, False):
            loops: Any = SimpleNamespace(
                health=SimpleNamespace(late=lambda late=late: late), heartbeat=SimpleNamespace(is_member=is_member)
            )
            assert Loops.late(loops) == late + ([] if is_member else ["heartbeat: the lease is lost"])
