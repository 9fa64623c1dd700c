"""What every test may ask for: a database of its own on a real PostgreSQL, and nothing that outlives it.

`make test` runs the tests in several processes, the workers of pytest-xdist; they share one PostgreSQL.
"""

import contextlib
import gc
import logging
import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from owlrunner.storage.postgres import Database
from tests.load import LOADED, loaded
from tests.pooler import PGBOUNCER, Pooled, poolers
from tests.postgres import SERVER_ROLE, TEMPLATE, folder_for_postgres, fresh_database, new_template, session_postgres

_MOST_WORKERS = 16
_SLOW_TO_MAKE = {"demo", "million_events", "ground"}
"""Fixtures that many tests share; one worker runs all tests of a folder that ask for one of them, and makes it once."""
_LONG = ("tests/promises", "tests/docs")
"""Where tests take longest. They go first, or at the end one worker would still be busy with one of them alone."""
_FOR_WORKERS = pytest.StashKey[str]()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """As many workers as `-n auto` means: more than twice the cores, because tests wait for others more than they work."""
    return min(2 * (os.cpu_count() or 1) + 1, _MOST_WORKERS)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where the PostgreSQL of all workers is, which lives as long as the session that they belong to."""
    config = node.config
    if _FOR_WORKERS not in config.stash:
        running = contextlib.ExitStack()
        config.add_cleanup(running.close)
        config.stash[_FOR_WORKERS] = running.enter_context(_prepared_postgres())
    node.workerinput["postgres_url"] = config.stash[_FOR_WORKERS]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What workers may take tests apart by, and in which order."""
    if not hasattr(config, "workerinput"):
        return
    for item in items:
        for shared in _SLOW_TO_MAKE.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group(f"{shared} of {item.path.parent.name}"))
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep the collector of cycles from looking at all modules and tests again and again: a tenth of what a worker computes."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Let a worker's report travel, though a test may have logged what is no UTF-8, such as half of a surrogate pair."""
    return _encodable((yield))


def _encodable(data: Any) -> Any:
    if isinstance(data, str):
        return data.encode(errors="backslashreplace").decode()
    if isinstance(data, list | tuple):
        return type(data)(_encodable(item) for item in data)
    if isinstance(data, dict):
        return {_encodable(key): _encodable(value) for key, value in data.items()}
    return data


@contextlib.contextmanager
def _prepared_postgres() -> Iterator[str]:
    """A PostgreSQL with the template; where OWLRUNNER_TEST_LOAD is set, a server works on it all the while, as fast as it can."""
    with session_postgres() as url, contextlib.ExitStack() as beside:
        if LOADED:
            beside.enter_context(loaded(new_template(url, "owlrunner_load", TEMPLATE)))
        yield url


@pytest.fixture(autouse=True)
def same_log_levels() -> Iterator[None]:
    """Plugins make libraries quieter for the whole process; the next test in it hears them again."""
    levels = {logger: logger.level for logger in _loggers()}
    yield
    # A logger that the test was the first to ask for had no level before.
    for logger in _loggers():
        logger.setLevel(levels.get(logger, logging.NOTSET))


def _loggers() -> list[logging.Logger]:
    return [known for known in logging.root.manager.loggerDict.values() if isinstance(known, logging.Logger)]


@pytest.fixture
def postgres_folder() -> Iterator[Path]:
    """A folder for a PostgreSQL of the test's own."""
    with folder_for_postgres() as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A PostgreSQL for the whole session: the one that OWLRUNNER_TEST_DATABASE_URL names, else the embedded one."""
    if hasattr(request.config, "workerinput"):
        yield request.config.workerinput["postgres_url"]
    else:
        with _prepared_postgres() as url:
            yield url


@pytest.fixture(scope="session")
def pooled() -> Iterator[Pooled]:
    """How servers under test reach a database: directly, by a role of their own, or through a pooler, as the environment says."""
    if PGBOUNCER:
        with poolers(PGBOUNCER) as function:
            yield function
    elif SERVER_ROLE:
        yield lambda url: make_conninfo(url, user=SERVER_ROLE)
    else:
        yield lambda url: url


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """A database with nothing in it."""
    yield from fresh_database(postgres_url, "template0")


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """A fresh database with the whole schema."""
    yield from fresh_database(postgres_url, TEMPLATE)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """A pool on a fresh database."""
    async with Database(database_url) as database:
        yield database


@pytest.fixture
def here() -> Path:
    """The root of the checkout."""
    return Path(__file__).parent.parent
