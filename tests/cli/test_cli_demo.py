"""``owlrunner demo`` and ``owlrunner serve`` as processes that are started, killed and stopped."""

import socket
import stat
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.cli.programs import Demo, Program, sentence


def test_killed_demo_comes_back_and_tells_what_happened(start_demo: Callable[..., Demo], tmp_path: Path) -> None:
    """After kill -9 in mid-run the next demo has the same ids and key, the run is failed, and a new one can start."""
    first = start_demo()
    with first.program("jobs", "trigger", "revenuecat_sync", "--wait") as waiting:
        waiting.line("err", lambda line: line.startswith("running ") and "(" in line)
        first.kill()
    second = start_demo()
    same = ("api_key", "team_id", "project_id", "email", "database_url")
    assert [first.ready[key] for key in same] == [second.ready[key] for key in same]
    (run,) = second.json("jobs", "list")["job_runs"]
    assert (run["status"], run["error"]) == ("failed", "Server restarted during execution")
    assert second.run("jobs", "trigger", "revenuecat_sync")[0] == 0
    assert stat.S_IMODE((tmp_path / "data" / "demo.json").stat().st_mode) == 0o600


def test_whoever_waits_survives_the_servers_death(start_demo: Callable[..., Demo]) -> None:
    """A waiting command tells that the server is away, goes on when it is back, and ends with 1 as its run has failed."""
    first = start_demo()
    with first.program("jobs", "trigger", "stay", "--wait") as waiting:
        waiting.line("err", lambda line: "3/10" in line)
        first.kill()
        waiting.line("err", lambda line: line.endswith("cannot be reached: Connection refused; trying again\n"))
        start_demo("--port", first.ready["url"].rpartition(":")[2])
        assert waiting.end() == 1
    assert "  Server restarted during execution" in waiting.out


def test_stopped_demo_leaves_no_postgresql(start_demo: Callable[..., Demo], tmp_path: Path) -> None:
    """SIGTERM ends the demo with 0, and its PostgreSQL with it."""
    demo = start_demo()
    lock = tmp_path / "data" / "pgdata" / "postmaster.pid"
    assert lock.exists()
    demo.terminate()
    assert demo.end() == 0
    assert not lock.exists()
    assert demo.out.count("\n") == 1


def test_second_demo_on_the_same_data_is_refused(start_demo: Callable[..., Demo], tmp_path: Path) -> None:
    """Two demos cannot share a data directory, and the second one says what to do."""
    start_demo()
    second = Program("demo", "--port", 0, "--data-dir", tmp_path / "data")
    assert second.end() == 1
    assert "--data-dir" in sentence(second.err)


def test_taken_port_is_one_sentence(tmp_path: Path) -> None:
    """A port that is taken exits with 1 and names --port, before anything is made."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        demo = Program("demo", "--port", taken.getsockname()[1], "--data-dir", tmp_path / "data")
        assert demo.end() == 1
    assert "--port" in sentence(demo.err)
    assert not (tmp_path / "data" / "pgdata").exists()


def test_unknown_plugin_is_one_sentence(tmp_path: Path) -> None:
    """A --plugin that cannot be imported exits with 1 and names the module."""
    demo = Program("demo", "--port", 0, "--data-dir", tmp_path / "data", "--plugin", "no_such_module")
    assert demo.end() == 1
    assert "no_such_module" in sentence(demo.err)


def test_serve_runs_until_told_to_stop(database_url: str, tmp_path: Path) -> None:
    """A server answers once it says that it is ready, logs one line for each record, and ends with 0 at SIGTERM."""
    env = {"DATABASE_URL": database_url, "OWLRUNNER_WEB__PORT": "0"}
    with Program("serve", env=env, cwd=tmp_path) as server:
        ready = server.line("err", lambda line: " is ready at " in line)
        assert httpx.get(f"{ready.split()[-1]}/health", trust_env=False).json() == {"status": "ok"}
        server.terminate()
        assert server.end() == 0
    assert all(" owlrunner." in line for line in server.err.splitlines())
    assert server.out == ""


def test_serve_on_an_old_database_is_one_sentence(empty_database_url: str, tmp_path: Path) -> None:
    """A database that lacks migrations stops the start, and the sentence names owlrunner migrate."""
    with Program("serve", env={"DATABASE_URL": empty_database_url, "OWLRUNNER_WEB__PORT": "0"}, cwd=tmp_path) as server:
        assert server.end() == 1
    assert "owlrunner migrate" in sentence(server.err)


def test_serve_without_its_database_is_one_sentence(tmp_path: Path) -> None:
    """A PostgreSQL that is not there stops the start with a sentence."""
    env = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "OWLRUNNER_WEB__PORT": "0"}
    with Program("serve", env=env, cwd=tmp_path) as server:
        assert server.end() == 1
    assert "cannot be reached" in sentence(server.err)
