"""Our own PostgreSQL: started by the first who needs it, stopped by the last, whatever happened in between."""

import importlib.util
import os
import pwd
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import trio

from owlrunner.errors import ConfigError, DatabaseUnavailable
from owlrunner.storage.embedded import Cluster, open_embedded, prepare_cluster

USER = """
import sys, trio
from pathlib import Path
from owlrunner.storage.embedded import open_embedded

async def main():
    async with open_embedded(Path(sys.argv[1])) as url:
        print(url, flush=True)
        await trio.to_thread.run_sync(sys.stdin.readline)

trio.run(main)
"""


def start_user(data_dir: Path) -> tuple["subprocess.Popen[str]", str]:
    """Another process that uses the server until it reads a line, and the URL that it got."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def end_user(process: "subprocess.Popen[str]", *, kill: bool = False) -> None:
    """Let it end, or kill it."""
    if kill:
        process.kill()
    process.communicate("\n")


def answers(url: str) -> bool:
    """Whether a server answers there."""
    try:
        with psycopg.connect(url, connect_timeout=5):
            return True
    except psycopg.OperationalError:
        return False


async def test_it_is_there_as_long_as_somebody_uses_it(postgres_folder: Path) -> None:
    """Two processes share one server; it stops when the second of them ends, not before."""
    first, url = start_user(postgres_folder)
    async with open_embedded(postgres_folder) as same:
        assert same == url
        end_user(first)
        assert answers(url)
    assert not answers(url)


async def test_a_killed_user_does_not_keep_it_running(postgres_folder: Path) -> None:
    """The server outlives a killed process, is joined by the next, keeps its data, and stops with the last."""
    killed, url = start_user(postgres_folder)
    with psycopg.connect(url) as connection:
        connection.execute("create table kept (n int)")
    end_user(killed, kill=True)
    assert answers(url)
    async with open_embedded(postgres_folder) as same:
        with psycopg.connect(same) as connection:
            connection.execute("select n from kept")
    assert not answers(url)


async def test_a_half_made_data_directory_is_made_anew(postgres_folder: Path) -> None:
    """A first start that was interrupted in the middle leaves nothing that the next would take for a database."""
    prepare_cluster(postgres_folder)
    (postgres_folder / "pgdata.new").mkdir()
    (postgres_folder / "pgdata.new" / "PG_VERSION").write_text("18")
    async with open_embedded(postgres_folder) as url:
        assert answers(url)


async def test_a_long_path_works(postgres_folder: Path) -> None:
    """A data directory whose path is too long for a socket works all the same; the socket's own folder says whose it is."""
    async with open_embedded(postgres_folder / ("long" * 30)) as url:
        assert answers(url)
        assert "/owlrunner-" in url


async def test_its_folder_is_for_nobody_else(postgres_folder: Path) -> None:
    """Whoever has an account on the machine cannot look into the folder of the data."""
    cluster = prepare_cluster(postgres_folder / "new")
    assert cluster.root.stat().st_mode & 0o777 == 0o700


async def test_it_starts_though_every_thread_is_taken(postgres_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Handlers that hold all threads for blocking work keep PostgreSQL neither from being started nor from being stopped."""
    done: list[str] = []

    def start(_: Cluster) -> str:
        done.append("started")
        return "url"

    monkeypatch.setattr(Cluster, "ensure_running", start)
    monkeypatch.setattr(Cluster, "stop_if_last", lambda *_: done.append("stopped"))
    limiter = trio.to_thread.current_default_thread_limiter()
    handlers = [object() for _ in range(int(limiter.total_tokens))]
    for handler in handlers:
        limiter.acquire_on_behalf_of_nowait(handler)
    try:
        with trio.fail_after(5):
            async with open_embedded(postgres_folder) as url:
                assert url == "url"
    finally:
        for handler in handlers:
            limiter.release_on_behalf_of(handler)
    assert done == ["started", "stopped"]


@pytest.mark.parametrize("name", ["it's $HOME `id` $(id) #1&2;", 'Bücher 🦉 "50%" \\, b'])
async def test_a_path_may_hold_anything(postgres_folder: Path, name: str) -> None:
    """What a shell, a list of paths or a URL would take for something else is part of the path."""
    async with open_embedded(postgres_folder / name) as url:
        assert answers(url)
        assert (postgres_folder / name / "pgdata" / "PG_VERSION").exists()
    assert not answers(url)


async def test_a_path_with_a_line_break_is_refused(postgres_folder: Path) -> None:
    """The one kind of path that PostgreSQL itself could not tell again stops the start with the key's name."""
    with pytest.raises(ConfigError, match=r"database\.data_dir: '.*a\\nb' holds an unprintable character"):
        async with open_embedded(postgres_folder / "a\nb"):
            pass
    assert os.listdir(postgres_folder) == []  # noqa: PTH208 - an async test


async def test_without_the_wheel_the_message_says_what_to_do(
    postgres_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has neither DATABASE_URL nor the embedded server is told both ways out."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"DATABASE_URL.*owlrunner\[embedded\]"):
        async with open_embedded(postgres_folder):
            pass


async def test_a_cancelled_user_stops_it_too(postgres_folder: Path) -> None:
    """The server does not outlive a last user who was cancelled, by Ctrl-C for instance."""
    with trio.CancelScope() as scope:
        async with open_embedded(postgres_folder) as url:
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert not answers(url)


def test_why_it_does_not_start_is_told(postgres_folder: Path) -> None:
    """The end of the server's own log is part of the error, for pg_ctl knows no reasons."""
    cluster = prepare_cluster(postgres_folder)
    try:
        cluster.ensure_running()
    finally:
        cluster.stop()
    with (cluster.data / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(DatabaseUnavailable, match=r"(?s)did not start in .*unrecognized configuration parameter"):
        cluster.ensure_running()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
def test_nothing_of_others_is_given_away(postgres_folder: Path) -> None:
    """Where we are root, a folder in which something else lies is refused, also by a link; an empty one, or our own, is taken."""
    (postgres_folder / "theirs").mkdir()
    (postgres_folder / "theirs" / "letter").touch()
    (postgres_folder / "link").symlink_to("theirs")
    for name in ("theirs", "link"):
        with pytest.raises(ConfigError, match=r"theirs|link is not empty and does not belong to"):
            prepare_cluster(postgres_folder / name)
    assert (postgres_folder / "theirs").stat().st_uid == 0
    (postgres_folder / "alices" / "pgdata").mkdir(parents=True)
    os.chown(postgres_folder / "alices", 12345, 12345)
    with pytest.raises(ConfigError, match="does not belong to"):
        prepare_cluster(postgres_folder / "alices")
    (postgres_folder / "ours").mkdir()
    (postgres_folder / "ours" / "demo.lock").touch()
    cluster = prepare_cluster(postgres_folder / "ours")
    assert cluster == prepare_cluster(postgres_folder / "ours")
    assert (postgres_folder / "ours").stat().st_uid == pwd.getpwnam(cluster.account or "").pw_uid


def test_a_link_is_not_followed(postgres_folder: Path) -> None:
    """What lies where a new data directory is made, and leads elsewhere, is taken away."""
    cluster = prepare_cluster(postgres_folder / "ours")
    elsewhere = postgres_folder / "elsewhere"
    elsewhere.mkdir(mode=0o777)
    (cluster.root / "pgdata.new").symlink_to(elsewhere)
    try:
        cluster.ensure_running()
    finally:
        cluster.stop("immediate")
    assert list(elsewhere.iterdir()) == []
    assert (cluster.data / "PG_VERSION").exists()
