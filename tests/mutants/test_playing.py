"""What plays mutants: the copy, the map, the choice of tests, the record, and the list of those that may live."""

import subprocess
from pathlib import Path

from tests.mutants import may_live
from tests.mutants.code import mutants_in
from tests.mutants.mutant import Change, Mutant, mutants_of
from tests.mutants.session import Choice
from tests.mutants.tree_copy import HERE, tree_copy
from tests.mutants.usage import Usage
from tests.mutants.verdict import Fate, Record, Verdict


def a_mutant(file: str, text: str) -> Mutant:
    """The last line is another one."""
    start = text.rindex("\n") + 1
    return next(mutants_of(file, text, [Change(start, len(text), "pass", "statement")]))


def a_verdict(mutant: Mutant, fate: Fate, by: str = "") -> Verdict:
    """What became of it."""
    about = (mutant.name, mutant.file, mutant.kind, mutant.before, mutant.after, mutant.nth)
    return Verdict(*about, fate, seconds=0.1, played=1, left_out=0, by=by)


def test_those_that_may_live_are_there() -> None:
    """Each entry of may_live.toml means a mutant, and gives a reason."""
    pardons = may_live.pardons()
    assert may_live.outdated(pardons, mutants_in) == []
    assert all(pardon.why for pardon in pardons)


def test_a_pardon_for_a_mutant_that_is_gone_is_outdated(tmp_path: Path) -> None:
    """An entry whose line has changed is found."""
    file = tmp_path / "may_live.toml"
    mutant = a_mutant("x.py", "\na()")
    file.write_text('[[mutant]]\nfile = "x.py"\nbefore = "a()"\nafter = "pass"\nwhy = "because"\n')
    assert may_live.outdated(may_live.pardons(file), lambda _: [mutant]) == []
    assert may_live.outdated(may_live.pardons(file), lambda _: []) == may_live.pardons(file)


def test_a_copy_runs_itself(tmp_path: Path) -> None:
    """What is started in a copy is the copy's OwlRunner, with what was changed there, and then with what was not."""
    file = "owlrunner/version.py"
    show = "import owlrunner_maintenance as m, owlrunner.version as v; print(v.__file__, m.__file__, v.x)"
    with tree_copy() as copy:

        def shown() -> list[str]:
            command = [str(copy.python), "-c", show]
            done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
            return done.stdout.split()

        for number in (1, 2):
            # As long as the other, and in the same second.
            with copy.with_text(file, (HERE / file).read_text("utf-8") + f"x = {number}\n", number):
                plugin = copy.root / "plugins" / "owlrunner_maintenance" / "__init__.py"
                assert shown() == [str(copy.root / file), str(plugin), str(number)]
        assert shown() == []


def test_a_map_tells_which_tests_use_a_mutant(tmp_path: Path) -> None:
    """What processes wrote down becomes tests by line and by query; a statement over several lines is found by its first."""
    told = [
        "test\ttests/test_a.py::test_x",
        "line\towlrunner/jobs.py\t2",
        "query\towlrunner/storage/postgres.py\tjob_runs/finish",
        "report\ttests/test_a.py::test_x\tcall\tpassed\t0.5",
        "group\t@kept together",
        "test\ttests/test_a.py::test_y@kept together",
        "line\towlrunner/jobs.py\t2",
        "report\ttests/test_a.py::test_y@kept together\tcall\tpassed\t0.25",
        "test\ttests/test_a.py::test_z",
        "line\towlrunner/jobs.py\t2",
        "report\ttests/test_a.py::test_z\tcall\tfailed\t0.5",
    ]
    (tmp_path / "1-a").write_text("\n".join(told))
    usage = Usage()
    usage.take_in(tmp_path)
    usage.write(tmp_path / "kept")
    usage = Usage.read(tmp_path / "kept")
    assert usage.tests == {"tests/test_a.py::test_x": 0.5, "tests/test_a.py::test_y": 0.25}
    assert usage.tests_of(a_mutant("owlrunner/jobs.py", "def f():\n    a(\n b)\n")) == set(usage.tests)
    assert usage.tests_of(a_mutant("owlrunner/storage/sql/job_runs/finish.sql", "\nx")) == {"tests/test_a.py::test_x"}
    assert usage.tests_of(a_mutant("owlrunner/storage/sql/job_runs/page.sql", "\nx")) == set()


def test_tests_that_noticed_before_go_first() -> None:
    """Then the quickest, as many as a mutant is worth, and one at least."""
    mutant = a_mutant("x.sql", "\nx")
    usage = Usage(tests={"quick": 1.0, "slow": 9.0, "sharp": 5.0}, uses={"x.sql": ["slow", "quick", "sharp"]})
    choice = Choice(usage, spend=7.0)
    assert choice.tests_for(mutant) == (["quick", "sharp"], 1)
    choice.learn(a_verdict(mutant, Fate.KILLED, by="sharp"))
    assert choice.tests_for(mutant) == (["sharp", "quick"], 1)
    assert Choice(usage, spend=0.0).tests_for(mutant) == (["quick"], 2)


def test_tests_that_are_named_after_a_file_go_first() -> None:
    """A module that is about a file looks at it more closely than what only uses it."""
    mutant = a_mutant("owlrunner/runtime/worker.py", "\nx")
    own, other = "tests/test_worker.py::test_a", "tests/test_storm.py::test_worker"
    usage = Usage(tests={own: 5.0, other: 1.0}, uses={"owlrunner/runtime/worker.py:2": [own, other]})
    assert Choice(usage, spend=9.0).tests_for(mutant) == ([own, other], 0)


def test_the_record_keeps_the_latest_verdict(tmp_path: Path) -> None:
    """A mutant that is played again has what it got last."""
    mutant, record = a_mutant("x.py", "\na()"), Record(tmp_path)
    record.begin([])
    record.add(a_verdict(mutant, Fate.SURVIVED))
    record.add(a_verdict(mutant, Fate.KILLED, by="sharp"))
    assert record.read() == [a_verdict(mutant, Fate.KILLED, by="sharp")]
