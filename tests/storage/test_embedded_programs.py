"""How PostgreSQL's programs are called, and what is made of their answers; shell scripts take their place."""

import fcntl
import os
import pwd
import re
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
import trio

from owlrunner.errors import DatabaseUnavailable
from owlrunner.storage import embedded
from owlrunner.storage.embedded import Cluster, _let_in, is_there, open_embedded, prepare_cluster


@pytest.fixture
def scripted(postgres_folder: Path) -> Callable[[str], Cluster]:
    """A cluster whose programs are this shell script."""

    def make(script: str, account: str | None = None) -> Cluster:
        binaries = postgres_folder / "bin"
        binaries.mkdir()
        for name in ("initdb", "pg_ctl"):
            (binaries / name).write_text(f"#!/bin/sh\n{script}\n")
            (binaries / name).chmod(0o755)
        return Cluster(postgres_folder, postgres_folder / "pgdata", binaries, account)

    return make


def python(code: str) -> str:
    """A shell script that is this code of Python's."""
    return f"exec {shlex.join([sys.executable, '-c', code])}"


def test_one_process_at_a_time_makes_and_starts_it(scripted: Callable[[str], Cluster]) -> None:
    """Whoever comes meanwhile waits at the lock, which is given back when it is over, also by a failure."""
    cluster = scripted(
        python(
            "import fcntl, sys\n"
            "try:\n"
            "    fcntl.flock(open('start.lock'), fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
            "except BlockingIOError:\n"
            "    sys.exit('locked')\n"
            "sys.exit('free')"
        )
    )
    with pytest.raises(DatabaseUnavailable, match=r"initdb failed in .*: locked"):
        cluster.ensure_running()
    with (cluster.root / "start.lock").open() as start:
        fcntl.flock(start, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert f"{os.fstat(start.fileno()).st_mode & 0o777:o}" == "600"


def test_a_terminals_signals_do_not_reach_it(
    scripted: Callable[[str], Cluster], caplog: pytest.LogCaptureFixture
) -> None:
    """It is in a session of its own, so that Ctrl-C does not end it before our last statement."""
    scripted(python("import os, sys; sys.exit(str(os.getsid(0) == os.getpid()))")).stop()
    assert caplog.messages == ["PostgreSQL did not stop: True"]


def test_what_is_typed_is_not_for_it(scripted: Callable[[str], Cluster], caplog: pytest.LogCaptureFixture) -> None:
    """It finds nothing to read where we would."""
    readable, writable = os.pipe()
    os.write(writable, b"typed")
    os.close(writable)
    ours = os.dup(0)
    os.dup2(readable, 0)
    try:
        scripted("cat; exit 1").stop()
    finally:
        os.dup2(ours, 0)
        os.close(ours)
        os.close(readable)
    assert caplog.messages == ["PostgreSQL did not stop: "]


async def test_handlers_that_block_keep_it_from_nothing(
    scripted: Callable[[str], Cluster], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that blocks is done in threads that do not count against the handlers' limit."""
    limiter = trio.to_thread.current_default_thread_limiter()
    done: list[tuple[str, float]] = []

    def noting(what: str, answer: object = None) -> Callable[..., object]:
        def note(*_: object) -> object:
            done.append((what, limiter.borrowed_tokens))
            return answer

        return note

    cluster = scripted("exit 1")
    monkeypatch.setattr(embedded, "prepare_cluster", noting("prepare", cluster))
    monkeypatch.setattr(fcntl, "flock", noting("lock"))
    monkeypatch.setattr(Cluster, "ensure_running", noting("start", "a url"))
    monkeypatch.setattr(Cluster, "stop", noting("stop"))
    async with open_embedded(cluster.root) as url:
        assert url == "a url"
    assert done == [(what, 0) for what in ("prepare", "lock", "start", "lock", "stop")]


def test_folders_are_made_and_closed_to_others(postgres_folder: Path) -> None:
    """Those above the server's own are made, too; its own one is for its account alone, who else is there may not look into it."""
    folder = postgres_folder / "new" / "inner"
    for _ in range(2):
        prepare_cluster(folder)
        assert f"{folder.stat().st_mode & 0o777:o}" == "700"


def test_a_server_is_there_once_its_data_is_complete(postgres_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it runs or not, and also where the path is told from the home folder."""
    monkeypatch.setenv("HOME", str(postgres_folder))
    assert not is_there(Path("~/owl"))
    (postgres_folder / "owl" / "pgdata").mkdir(parents=True)
    assert not is_there(Path("~/owl"))
    (postgres_folder / "owl" / "pgdata" / "PG_VERSION").touch()
    assert is_there(Path("~/owl"))


def test_only_root_needs_another_account(postgres_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody else runs it as themselves, and nothing that is installed is opened for others."""
    monkeypatch.setattr(embedded, "_let_in", lambda *_: pytest.fail("there is nobody to let in"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert prepare_cluster(postgres_folder).account is None


def test_why_it_cannot_be_made_is_told(scripted: Callable[[str], Cluster]) -> None:
    """What initdb says about a failure, on either stream, is part of the error; no half-made folder takes the place of the data."""
    cluster = scripted("echo told; echo on both >&2; exit 1")
    with pytest.raises(DatabaseUnavailable, match=r"initdb failed in .*: told\non both"):
        cluster.ensure_running()
    assert not cluster.data.exists()


TELLING = """case "$0" in
*/initdb) mkdir pgdata.new; touch pgdata.new/PG_VERSION;;
*) for argument; do printf '%s\\n' "$argument"; done; exit 1
esac"""
"""Makes a data directory, and tells what the server would be started with."""


@pytest.mark.parametrize(("length", "fits"), [(86, True), (87, False), (100, False)])
def test_the_socket_is_where_its_path_is_short_enough(
    scripted: Callable[[str], Cluster], monkeypatch: pytest.MonkeyPatch, length: int, fits: bool
) -> None:
    """With the data, unless the kernel could not take the path; then in a folder that says whose it is."""
    cluster = scripted(TELLING)
    folder = cluster.root / ("x" * (length - len(f"{cluster.root}//pgdata")))
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(cluster.root))
    with pytest.raises(DatabaseUnavailable, match="did not start") as caught:
        attrs.evolve(cluster, root=folder, data=folder / "pgdata").ensure_running()
    place = re.search(r"-k '\"(.*)\"'$", str(caught.value))
    assert place is not None
    where = str(folder / "pgdata") if fits else f"{cluster.root}/owlrunner-"
    assert place[1].startswith(where)
    assert len(where) == len(place[1]) or not fits


def test_the_end_of_a_log_is_told_whatever_it_holds(scripted: Callable[[str], Cluster]) -> None:
    """Two thousand characters of it, also where some of its bytes are no text."""
    cluster = scripted(TELLING)
    with pytest.raises(DatabaseUnavailable):
        cluster.ensure_running()
    (cluster.data / "server.log").write_bytes(b"y" + b"x" * 1998 + b"\xffz")
    with pytest.raises(DatabaseUnavailable) as caught:
        cluster.ensure_running()
    assert str(caught.value) == f"PostgreSQL did not start in {cluster.data}: {'x' * 1998}\N{REPLACEMENT CHARACTER}z"


@pytest.mark.parametrize(("code", "told"), [(0, []), (1, ["PostgreSQL did not stop: busy"])])
def test_a_server_that_does_not_stop_is_told_of(
    scripted: Callable[[str], Cluster], caplog: pytest.LogCaptureFixture, code: int, told: list[str]
) -> None:
    """Where pg_ctl could not stop it, the log says so and why."""
    scripted(f"echo busy >&2; exit {code}").stop()
    assert [record.getMessage() for record in caplog.records] == told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be somebody else")
def test_it_keeps_nothing_of_roots_rights(
    scripted: Callable[[str, str], Cluster], postgres_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where root starts it, it belongs to its own account's group alone."""
    postgres_folder.chmod(0o755)
    nobody = pwd.getpwnam("nobody")
    cluster, groups = scripted("id -u; id -G; exit 1", "nobody"), os.getgroups()
    os.setgroups([0, 1])
    try:
        cluster.stop()
    finally:
        os.setgroups(groups)
    assert [record.getMessage() for record in caplog.records] == [
        f"PostgreSQL did not stop: {nobody.pw_uid}\n{nobody.pw_gid}"
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change its groups")
def test_it_has_our_groups_where_it_runs_as_we_do(
    scripted: Callable[[str], Cluster], caplog: pytest.LogCaptureFixture
) -> None:
    """Without another account nothing is changed about who we are."""
    cluster, groups = scripted("id -G; exit 1"), os.getgroups()
    os.setgroups([0, 1])
    try:
        cluster.stop()
    finally:
        os.setgroups(groups)
    assert caplog.messages == ["PostgreSQL did not stop: 0 1"]


def test_another_account_may_execute_the_server_and_read_its_files(postgres_folder: Path) -> None:
    """Where root's umask has closed what was installed, it is opened for reading, no more than needed and for nobody to write."""
    install, root = postgres_folder / "site" / "install", postgres_folder / "data"
    program, text, inner = install / "bin" / "postgres", install / "share" / "postgres.bki", install / "share" / "inner"
    for folder in (program.parent, inner, root):
        folder.mkdir(parents=True)
    for file in (program, text):
        file.touch()
    for path, mode in ((program, 0o700), (text, 0o600), (inner, 0o700), (install.parent, 0o702)):
        path.chmod(mode)
    nobody = pwd.getpwnam("nobody").pw_uid
    _let_in(install, root, nobody)
    modes = [path.stat().st_mode & 0o777 for path in (program, text, inner)]
    assert [f"{mode:o}" for mode in modes] == ["705", "604", "705"]
    assert install.parent.stat().st_mode & 0o007 == 0o002, "nobody else passes"
    text.chmod(0o600)
    _let_in(install, root, nobody)
    assert text.stat().st_mode & 0o777 == 0o600, "what can be executed is left as it is"
