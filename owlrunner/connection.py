"""Name the type of the connections that handlers open.

In a module of its own, because psycopg takes as long to import as all the rest of a command that speaks HTTP.
"""

from typing import Any, TypeAlias

from psycopg import AsyncConnection

Connection: TypeAlias = AsyncConnection[tuple[Any, ...]]
