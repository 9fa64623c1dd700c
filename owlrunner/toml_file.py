"""Read a TOML file, or say in one sentence why it cannot be read."""

import tomllib
from pathlib import Path
from typing import Any

from owlrunner.errors import ConfigError


def read_toml(file: Path) -> dict[str, Any]:
    """Return the file's content. A byte order mark, which editors on Windows write, is skipped.

    Raises ConfigError naming the file.
    """
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: byte {error.start + 1} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from None
    except RecursionError:
        raise ConfigError(f"{file}: not valid TOML: nested too deeply") from None
    except ValueError:
        # Not quoted: such a name would spoil a log or a terminal.
        raise ConfigError("a file name that contains a NUL character cannot be read") from None
