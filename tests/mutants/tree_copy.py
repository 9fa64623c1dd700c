"""Copies of the tree, in which mutants are tried: the working copy is never changed.

Each has a virtual environment of its own that costs next to nothing: it borrows the packages of ours, but for OwlRunner itself,
which is found in the copy. So whatever a test starts, it starts from the copy.
"""

import contextlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.mutants.recorder import FOLDER, ROOT

HERE = Path(__file__).parents[2]
_RECORDER = Path(__file__).with_name("recorder.py")
_PLUGIN = "owlrunner_recorder"
_BUILT = {"build", "dist"}


def files_of_the_tree() -> list[str]:
    """Every file that belongs to the tree, as the working copy has it; nothing that was built, and nothing hidden."""
    tops = [top for top in HERE.iterdir() if not top.name.startswith(".") and top.name not in _BUILT]
    paths = [path for top in tops for path in (top.rglob("*") if top.is_dir() else [top])]
    return sorted(
        path.relative_to(HERE).as_posix() for path in paths if path.is_file() and "__pycache__" not in path.parts
    )


@attrs.frozen
class TreeCopy:
    """A copy with its environment."""

    root: Path

    @property
    def python(self) -> Path:
        """The interpreter that finds OwlRunner in the copy."""
        return self.root / ".venv" / "bin" / "python"

    @contextlib.contextmanager
    def with_text(self, file: str, text: str, number: int) -> Iterator[None]:
        """Let a file have another text for a while. ``number`` is another one each time."""
        path = self.root / file
        original, times = path.read_bytes(), path.stat()
        path.write_text(text, "utf-8")
        # Compiled modules are told apart by seconds and size, which two mutants may have in common.
        os.utime(path, (times.st_atime, int(times.st_mtime) - 10 * number))
        try:
            yield
        finally:
            path.write_bytes(original)
            os.utime(path, (times.st_atime, times.st_mtime))

    def pytest(self, *arguments: str) -> list[str]:
        """The command that runs pytest in the copy."""
        return [str(self.python), "-m", "pytest", "-p", "no:cacheprovider", *arguments]

    def record(self, folder: Path, *arguments: str) -> int:
        """Run tests while every process writes down what it uses into the folder."""
        environ = {**os.environ, FOLDER: str(folder), ROOT: str(self.root)}
        return subprocess.run(
            self.pytest("-p", _PLUGIN, *arguments), cwd=self.root, env=environ, check=False
        ).returncode


@contextlib.contextmanager
def tree_copy() -> Iterator[TreeCopy]:
    """Make a copy of the tree as it is now."""
    with tempfile.TemporaryDirectory(prefix="owlrunner-mutants-", ignore_cleanup_errors=True) as folder:
        root = Path(folder).resolve() / "tree"
        for name in files_of_the_tree():
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(HERE / name, target)
        _make_environment(root)
        yield TreeCopy(root)


def _make_environment(root: Path) -> None:
    venv.EnvBuilder(symlinks=True).create(root / ".venv")
    packages = root / ".venv" / "lib" / Path(sysconfig.get_path("purelib")).parent.name / "site-packages"
    shutil.copy2(_RECORDER, packages / f"{_PLUGIN}.py")
    # Folders that are named here are searched, but not for other .pth files: ours names the working copy.
    paths = [root, root / "plugins", sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    (packages / "copy.pth").write_text("".join(f"{path}\n" for path in paths) + f"import {_PLUGIN}\n", "utf-8")
