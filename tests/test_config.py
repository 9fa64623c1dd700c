"""The configuration: what is read from where, and what a mistake is told."""

from pathlib import Path

import pytest

from owlrunner.config import Config, load_config
from owlrunner.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    """A configuration file."""
    file = tmp_path / "owlrunner.toml"
    file.write_text(text)
    return file


def test_without_anything_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file and no variable: defaults."""
    monkeypatch.chdir(tmp_path)
    assert load_config(environ={}) == Config()


def test_the_shipped_example_is_valid(here: Path) -> None:
    """config/owlrunner.toml, as it stands in the repository, loads."""
    load_config(here / "config" / "owlrunner.toml", environ={})


def test_the_file_is_read(tmp_path: Path) -> None:
    """Sections and keys of the file arrive, plugin tables untouched."""
    config = load_config(write(tmp_path, '[web]\nport = 9000\n[plugins.slack]\nchannel = "#jobs"'), environ={})
    assert config.web.port == 9000
    assert config.plugins == {"slack": {"channel": "#jobs"}}


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    """OWLRUNNER_<SECTION>__<KEY> and DATABASE_URL win; texts are read as the numbers, lists and plugin keys they stand for."""
    config = load_config(
        write(tmp_path, "[web]\nport = 9000"),
        environ={
            "OWLRUNNER_WEB__PORT": "9001",
            "OWLRUNNER_SERVER__PLUGINS": '["a", "b"]',
            "OWLRUNNER_SERVER__LEASE": "12.5",
            "OWLRUNNER_PLUGINS__SLACK__CHANNEL": "#ops",
            "DATABASE_URL": "postgresql://somewhere/db",
            "OWLRUNNER_API_KEY": "not a setting",
        },
    )
    assert (config.web.port, config.server.plugins, config.server.lease) == (9001, ["a", "b"], 12.5)
    assert config.plugins["slack"] == {"channel": "#ops"}
    assert config.database.url == "postgresql://somewhere/db"


@pytest.mark.parametrize("nothing", ["", " ", "\n"])
def test_an_empty_variable_is_unset(tmp_path: Path, nothing: str) -> None:
    """A variable without a value, as compose files make them, neither hides another one nor what the file says."""
    variables = ("OWLRUNNER_WEB__HOST", "OWLRUNNER_WEB__PORT", "OWLRUNNER_DATABASE__URL", "OWLRUNNER_CONFIG")
    file = write(tmp_path, "[web]\nhost = '::1'\nport = 9000\n[notifications]\nalert_email = 'ops@acme.test'")
    environ = {"DATABASE_URL": "postgresql://h/d", "SYSTEM_JOBS_ALERT_EMAIL": nothing} | dict.fromkeys(
        variables, nothing
    )
    config = load_config(file, environ=environ)
    assert (config.web.host, config.web.port, config.database.url) == ("::1", 9000, "postgresql://h/d")
    assert config.notifications.alert_email == "ops@acme.test"
    assert (
        load_config(file, environ={"DATABASE_URL": nothing, "OWLRUNNER_DATABASE__URL": "host=h"}).database.url
        == "host=h"
    )


def test_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    """A file that an editor on Windows has saved is read like any other."""
    file = tmp_path / "owlrunner.toml"
    file.write_bytes("[web]\r\nport = 9000\r\n".encode("utf-8-sig"))
    assert load_config(file, environ={}).web.port == 9000


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("[web]".encode("utf-16"), "byte 1 is not UTF-8"),
        (b"[web]\n# caf\xe9", "byte 12 is not UTF-8"),
        (b"x = " + b"[" * 10_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_toml_is_told(tmp_path: Path, content: bytes, complaint: str) -> None:
    """What cannot be read as TOML at all is told by file and place."""
    file = tmp_path / "owlrunner.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"{file}: not valid TOML: {complaint}"):
        load_config(file, environ={})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[web]\nport = 'high'", "web.port: expected int, got str"),
        ("[web]\nprot = 1", "web.prot: unknown key"),
        ("[wep]\nport = 1", "wep: unknown key"),
        ("[server]\nlease = 0", "lease must be above 0"),
        ("[server]\nlease = inf", "lease must be above 0"),
        ("[server]\ncapacity = 0", "capacity"),
        ("[server]\nwakeups = 'shout'", "server.wakeups: invalid enum value 'shout'"),
        ("[mail]\nsender = 'nobody'", "sender must be like Jobs <jobs@example.com>, got 'nobody'"),
        ("[mail]\nsender = 'a@acme.test, b@acme.test'", "sender must be like Jobs <jobs@example.com>"),
        ("[notifications]\nalert_email = 'a@b@c'", "alert_email must be one address like ops@example.com"),
        ("[notifications]\nalert_email = 'ops@bü cher.example'", "alert_email must be one address"),
        ("[web]\nhost = ''", "host must be an address such as 127.0.0.1 or 0.0.0.0, got ''"),
        ("[web]\nhost = ' '", "host must be an address"),
        ("[web]\nport = 99999", "port must be between 0 and 65535"),
        ("[web]\nshow_codes = true\nhost = '0.0.0.0'", "host must be the loopback address"),
        ("[web", "not valid TOML"),
    ],
)
def test_a_mistake_in_the_file_is_told(tmp_path: Path, text: str, complaint: str) -> None:
    """The message names the file, the key, what was expected and what was found."""
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as told:
        load_config(file, environ={})
    assert str(file) in str(told.value)
    assert complaint in str(told.value)


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("OWLRUNNER_WEB__PORT", "high", "web.port: expected int, got str"),
        ("OWLRUNNER_WEB__PROT", "1", "web.prot: unknown key"),
        ("OWLRUNNER_WEP__PORT", "1", "wep: unknown key"),
        ("OWLRUNNER_DATABASE__URL__X", "1", "url"),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(variable: str, value: str, complaint: str) -> None:
    """The message names the variable, not the file that is innocent of it."""
    with pytest.raises(ConfigError, match=variable) as told:
        load_config(environ={variable: value, "DATABASE_URL": "postgresql://a"})
    assert complaint in str(told.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A file that was named must exist."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path / "none.toml", environ={})


def test_secrets_do_not_show() -> None:
    """The representation of a configuration, as it may end up in a log, holds no password and no plugin table."""
    config = load_config(
        environ={
            "DATABASE_URL": "postgresql://u:hunter2@h/d",
            "OWLRUNNER_MAIL__PASSWORD": "hunter2",
            "OWLRUNNER_PLUGINS__X__TOKEN": "hunter2",
        }
    )
    assert "hunter2" not in repr(config)
