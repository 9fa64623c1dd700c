"""Which code is changed, and all mutants of it."""

from collections.abc import Iterator
from fnmatch import fnmatch

from tests.mutants import python_mutations, sql_mutations
from tests.mutants.mutant import Mutant, mutants_of
from tests.mutants.tree_copy import HERE, files_of_the_tree

_CHANGED = (
    "owlrunner/storage/sql/*.sql",
    "plugins/owlrunner_maintenance/sql/*.sql",
    "owlrunner/runtime/*.py",
    "owlrunner/accounts/*.py",
    "owlrunner/storage/*.py",
    "owlrunner/cron.py",
    "owlrunner/schedule.py",
    "owlrunner/jobs.py",
)


def changed_files(only: tuple[str, ...] = ()) -> list[str]:
    """The files that mutants are made of; some of them, where patterns say so."""
    files = [name for name in files_of_the_tree() if any(fnmatch(name, pattern) for pattern in _CHANGED)]
    return [name for name in files if not only or any(fnmatch(name, pattern) for pattern in only)]


def mutants_in(file: str) -> list[Mutant]:
    """All mutants of a file."""
    return list(_mutants_in(file))


def _mutants_in(file: str) -> Iterator[Mutant]:
    text = (HERE / file).read_text("utf-8")
    mutator = sql_mutations if file.endswith(".sql") else python_mutations
    yield from mutants_of(file, text, mutator.changes(text))
