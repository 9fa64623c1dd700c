"""One demo for all tests of the command line, and demos that may be killed."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from owlrunner.storage.embedded import prepare_cluster
from tests.cli.programs import Demo
from tests.postgres import folder_for_postgres


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    """A demo whose syncs are quick. Whoever starts a run that stays must end it."""
    with folder_for_postgres() as folder:
        demo = Demo(folder, "--sync-seconds", 3)
        yield demo
        demo.terminate()
        assert demo.end() == 0


@pytest.fixture
def start_demo(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    """Start a demo, with further options; each call starts another on the same data. Nothing of them outlives the test."""
    demos: list[Demo] = []

    def start(*options: object) -> Demo:
        demos.append(Demo(tmp_path / "data", "--sync-seconds", 60, *options))
        return demos[-1]

    yield start
    for demo in demos:
        demo.kill()
    cluster = prepare_cluster(tmp_path / "data")
    if (cluster.data / "postmaster.pid").exists():
        cluster.stop("immediate")


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Commands that run in this process find no configuration of whoever runs the tests."""
    for variable in ("ENDPOINT", "API_KEY", "TEAM_ID", "PROJECT_ID", "CONFIG"):
        monkeypatch.delenv(f"OWLRUNNER_{variable}", raising=False)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
