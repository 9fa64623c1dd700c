"""PgBouncer in transaction mode in front of a PostgreSQL, for servers that are tested behind one."""

import configparser
import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from owlrunner.storage.embedded import _account

PGBOUNCER = os.environ.get("OWLRUNNER_TEST_PGBOUNCER")
"""The path of PgBouncer, where the servers under test are to reach PostgreSQL through it."""

needs_listen = pytest.mark.skipif(bool(PGBOUNCER), reason="nobody can LISTEN behind a pooler in transaction mode")

Pooled: TypeAlias = Callable[[str], str]
"""From a database's connection string to the one that leads through the pooler."""

_PORT = 6432
"""The name of a socket in a folder of its own, nothing on the network."""

_EXAMPLE = Path(__file__).parents[1] / "config" / "examples" / "pgbouncer.ini"
"""What we tell others to do is what is tested, but for who and where."""


@contextlib.contextmanager
def poolers(program: str) -> Iterator[Pooled]:
    """Start one pooler for each PostgreSQL that is asked for, and stop them all at the end."""
    with contextlib.ExitStack() as running:
        folders: dict[str, Path] = {}

        def pooled(url: str) -> str:
            params = conninfo_to_dict(url)
            # Every database is another one's pool, but they share the PostgreSQL.
            server = make_conninfo("", **{key: value for key, value in params.items() if key != "dbname"})
            if server not in folders:
                folders[server] = running.enter_context(_pooler(program, server))
            return make_conninfo(
                host=str(folders[server]), port=_PORT, dbname=params.get("dbname"), user=params.get("user")
            )

        yield pooled


@contextlib.contextmanager
def _pooler(program: str, server: str) -> Iterator[Path]:
    """A running PgBouncer; yields the folder of its socket."""
    # It does not run as root, and must get at the socket of PostgreSQL, which does not either.
    account = _account() if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="owlrunner-pooler-") as name:
        folder = Path(name)
        settings = folder / "pgbouncer.ini"
        _write_settings(settings, server, folder)
        if account is not None:
            for path in (folder, settings):
                shutil.chown(path, account, pwd.getpwnam(account).pw_gid)
        with subprocess.Popen(
            [program, settings],
            user=account,
            group=None if account is None else pwd.getpwnam(account).pw_gid,
            extra_groups=None if account is None else [],
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            said: list[str] = []
            for line in process.stderr:
                said.append(line)
                if "process up" in line:
                    break
            else:
                raise AssertionError(f"PgBouncer did not start: {''.join(said)}")
            # It must never wait for somebody to read what it has to say.
            reader = threading.Thread(target=said.extend, args=(process.stderr,), daemon=True)
            reader.start()
            try:
                yield folder
            finally:
                process.kill()
                reader.join()


def _write_settings(file: Path, server: str, folder: Path) -> None:
    """The example's settings, for every database of a PostgreSQL that trusts us."""
    settings = configparser.ConfigParser(interpolation=None)
    settings.read_string(_EXAMPLE.read_text("utf-8"))
    settings["databases"] = {"*": server}
    of_pooler = settings["pgbouncer"]
    del of_pooler["auth_file"]
    of_pooler.update(auth_type="any", listen_addr="", listen_port=str(_PORT), unix_socket_dir=str(folder))
    with file.open("w") as opened:
        settings.write(opened)
