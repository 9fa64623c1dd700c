"""One other account passes through a folder, and nobody else does."""

import errno
import logging
import os
import subprocess
from pathlib import Path

import pytest

from owlrunner.storage.passage import let_pass

NOBODY, DAEMON = 65534, 1


@pytest.fixture
def folder(postgres_folder: Path) -> Path:
    """A private folder with a file that everybody may read who gets there."""
    postgres_folder.chmod(0o755)
    private = postgres_folder / "private"
    private.mkdir(mode=0o700)
    (private / "file").write_text("hello")
    return private


def reads(folder: Path, uid: int) -> bool:
    """Whether an account can read the file."""
    read = ["cat", str(folder / "file")]
    return subprocess.run(read, user=uid, group=uid, extra_groups=[], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
@pytest.mark.parametrize("mode", [0o700, 0o750, 0o770])
def test_one_account_passes(folder: Path, mode: int) -> None:
    """The account reaches what it knows the name of, cannot list the folder, and others stay outside; others' passages stay."""
    folder.chmod(mode)
    assert not reads(folder, NOBODY)
    let_pass(folder, NOBODY)
    assert (reads(folder, NOBODY), reads(folder, DAEMON)) == (True, False)
    listed = subprocess.run(
        ["ls", str(folder)], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, check=False
    )
    assert listed.returncode != 0
    let_pass(folder, DAEMON)
    assert (reads(folder, NOBODY), reads(folder, DAEMON), reads(folder, 2)) == (True, True, False)
    (folder / "file").chmod(0o640)
    os.chown(folder / "file", 0, 3)
    os.chown(folder, 0, 3)
    in_group = ["cat", str(folder / "file")]
    done = subprocess.run(in_group, user=2, group=3, extra_groups=[], capture_output=True, check=False)
    assert (done.returncode == 0) == (mode & 0o010 != 0), "the group may what it might before"


@pytest.mark.parametrize(("mode", "uid"), [(0o701, NOBODY), (0o755, NOBODY), (0o700, os.geteuid())])
def test_who_passes_already_is_given_nothing(
    folder: Path, mode: int, uid: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder that everybody passes, or that is the account's own, stays as it is."""
    caplog.set_level(logging.INFO)
    folder.chmod(mode)
    before = folder.stat().st_ctime_ns
    let_pass(folder, uid)
    assert (folder.stat().st_ctime_ns, caplog.messages) == (before, [])


def test_a_second_time_changes_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What was let in is not let in again."""
    caplog.set_level(logging.INFO)
    let_pass(folder, NOBODY)
    before = folder.stat().st_ctime_ns
    let_pass(folder, NOBODY)
    assert (folder.stat().st_ctime_ns, len(caplog.messages)) == (before, 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_folder_that_was_closed_again_is_opened_again(folder: Path) -> None:
    """Chmod takes the passage away, though the list still names the account."""
    let_pass(folder, NOBODY)
    folder.chmod(0o700)
    assert not reads(folder, NOBODY)
    let_pass(folder, NOBODY)
    assert reads(folder, NOBODY)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_what_was_taken_from_others_stays_taken(folder: Path) -> None:
    """Whoever the list named before the folder was closed does not get in with the one that is let in now."""
    let_pass(folder, DAEMON)
    folder.chmod(0o700)
    let_pass(folder, NOBODY)
    assert (reads(folder, NOBODY), reads(folder, DAEMON)) == (True, False)


def test_without_lists_everybody_passes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """On a file system without access control lists the folder is opened for all, with a warning; any other error is raised."""

    def refuse(*_: object) -> bytes:
        raise OSError(problem, "x")

    monkeypatch.setattr(os, "getxattr", refuse)
    problem = errno.EPERM
    with pytest.raises(PermissionError):
        let_pass(folder, NOBODY)
    problem = errno.ENOTSUP
    let_pass(folder, NOBODY)
    assert folder.stat().st_mode & 0o777 == 0o701
    assert caplog.messages == [f"letting everybody pass through {folder}, which PostgreSQL's account needs"]
