"""The commands that work on this machine, in this process: migrate, admin, config, plugins; and the root command."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click
import psycopg
import pytest
from click.testing import CliRunner, Result

from owlrunner.cli.entry import COMMANDS, RootGroup, cli
from owlrunner.config import Config
from owlrunner.version import VERSION
from tests.cli.programs import sentence
from tests.postgres import folder_for_postgres

SECRET = "sk_quite_secret"

Invoke = Callable[..., Result]


@pytest.fixture
def owlrunner() -> Invoke:
    """Run a command in this process."""

    def invoke(*arguments: object, stdin: str | None = None, **env: str) -> Result:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments], input=stdin, env=env)

    return invoke


def _json(result: Result) -> Any:
    assert (result.exit_code, result.stderr) == (0, "")
    return json.loads(result.stdout)


def test_version(owlrunner: Invoke) -> None:
    """--version prints name and version."""
    assert owlrunner("--version").stdout == f"owlrunner {VERSION}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_summaries_are_the_commands_own(name: str) -> None:
    """The root's help shows each command's own first sentence, though it does not import the command."""
    assert isinstance(cli, RootGroup)
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.get_short_help_str(200) == COMMANDS[name]


def test_commands_that_ask_a_server_do_not_load_one() -> None:
    """Importing the jobs commands loads neither Trio nor Quart, so that they start fast."""
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, owlrunner.cli.jobs; print({'trio', 'quart', 'hypercorn'} & set(sys.modules))",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout == "set()\n"


@pytest.mark.parametrize(
    ("env", "named"), [({}, "OWLRUNNER_ENDPOINT"), ({"OWLRUNNER_ENDPOINT": "http://127.0.0.1:1"}, "OWLRUNNER_API_KEY")]
)
def test_missing_setting_is_one_sentence(owlrunner: Invoke, env: dict[str, str], named: str) -> None:
    """Without endpoint or key, a command exits with 1 and names the variable to set."""
    result = owlrunner("jobs", "list", **env)
    assert result.exit_code == 1
    assert named in sentence(result.stderr)


def test_dead_port_is_one_sentence(owlrunner: Invoke) -> None:
    """A server that is not there exits with 1 and names the endpoint."""
    result = owlrunner("jobs", "list", "--endpoint", "http://127.0.0.1:1", "--api-key", "owl_agent_x")
    assert result.exit_code == 1
    assert sentence(result.stderr) == "http://127.0.0.1:1 cannot be reached: Connection refused"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--param", "no-sign"], "key=value"),
        (["--params", "[1]"], "JSON object"),
        (["--params", "{"], "not valid JSON"),
        (["--params", '{"steps": NaN}'], "not valid JSON"),
        (["--params", '{"steps": 1e999}'], "a number is out of range"),
        (["--params", "[" * 5000], "nested deeper than 100 levels"),
        (["--priority", "101"], "101"),
        (["--no-such-option"], "--no-such-option"),
    ],
)
def test_bad_arguments_exit_2(owlrunner: Invoke, arguments: list[str], named: str) -> None:
    """What is wrong with the command line itself exits with 2 and says what."""
    result = owlrunner("jobs", "trigger", "greet", *arguments)
    assert result.exit_code == 2
    assert named in result.stderr


@pytest.mark.parametrize(
    "command", [["serve"], ["migrate"], ["config", "check"], ["plugins", "check"], ["admin", "create-team", "x"]]
)
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[web]\nport = 'x'\n", "web.port"),
        ("[web]\nprot = 1\n", "web.prot"),
        ("= 1", "not valid TOML"),
        ("[plugins.nobody]\nx = 1\n", "plugins.nobody"),
        ("[plugins.revenuecat]\nconcurrency = 0\n", "plugins.revenuecat"),
    ],
)
def test_bad_config_is_one_sentence(
    owlrunner: Invoke, tmp_path: Path, command: list[str], text: str, named: str
) -> None:
    """A configuration that cannot be used stops every command with 1 and a sentence that names the key."""
    file = tmp_path / "owl.toml"
    file.write_text(text)
    result = owlrunner(*command, "--config", file)
    assert result.exit_code == 1
    assert named in sentence(result.stderr)


def test_missing_config_is_one_sentence(owlrunner: Invoke, tmp_path: Path) -> None:
    """A configuration file that is not there is named; as JSON, too."""
    result = owlrunner("config", "check", "--config", tmp_path / "none.toml", "--format", "json")
    assert result.exit_code == 1
    assert "none.toml" in json.loads(result.stderr)["error"]


def test_config_check_shows_no_secret(owlrunner: Invoke) -> None:
    """What is set up is shown without the passwords in it."""
    env = {"DATABASE_URL": f"postgresql://owl:{SECRET}@db.test:5433/owls", "OWLRUNNER_MAIL__PASSWORD": SECRET}
    result = owlrunner("config", "check", **env)
    assert result.exit_code == 0
    assert "PostgreSQL at db.test:5433, database owls" in result.stdout
    assert SECRET not in result.output


def test_plugins_list_names_what_they_offer(owlrunner: Invoke) -> None:
    """Every plugin is listed with its job types."""
    listed = {plugin["name"]: plugin["job_types"] for plugin in _json(owlrunner("plugins", "list", "--format", "json"))}
    assert listed["revenuecat"] == ["revenuecat_sync", "revenuecat_user_sync", "revenuecat_user_backfill"]
    assert "job type revenuecat_sync, scope project: RevenueCat Sync" in owlrunner("plugins", "list").stdout
    assert owlrunner("plugins", "check").stdout.startswith("ok: ")


def test_migrate_applies_once(owlrunner: Invoke, empty_database_url: str) -> None:
    """The first migrate names what it applied, the second has nothing to do."""
    first = _json(owlrunner("migrate", "--format", "json", DATABASE_URL=empty_database_url))
    assert first["applied"][0] == "owlrunner/0001_initial"
    assert owlrunner("migrate", DATABASE_URL=empty_database_url).stdout == "nothing to do: the database is up to date\n"


@pytest.mark.parametrize(
    "command",
    [
        ["system", "runs"],
        ["system", "view", "11111111-1111-4111-8111-111111111111"],
        ["system", "cancel", "11111111-1111-4111-8111-111111111111"],
        ["system", "trigger", "db_pruning"],
        ["system", "schedules"],
        ["system", "servers"],
        ["system", "notifications"],
        ["admin", "create-team", "Owls"],
    ],
    ids=" ".join,
)
def test_no_database_is_made_to_look_into(owlrunner: Invoke, tmp_path: Path, command: list[str]) -> None:
    """Without a database a command says so in one sentence and exits with 1; it does not make an empty one and find all well."""
    data_dir = tmp_path / "nothing"
    result = owlrunner(*command, DATABASE_URL="", OWLRUNNER_DATABASE__DATA_DIR=str(data_dir))
    assert result.exit_code == 1
    told = sentence(result.stderr)
    assert ("DATABASE_URL" in told, str(data_dir) in told, "owlrunner migrate" in told) == (True, True, True)
    assert not data_dir.exists()


def test_a_database_that_was_made_is_looked_into(owlrunner: Invoke) -> None:
    """What ``owlrunner migrate`` has made is there for every other command, which starts it where it does not run."""
    with folder_for_postgres() as folder:
        env = {"DATABASE_URL": "", "OWLRUNNER_DATABASE__DATA_DIR": str(folder / "data")}
        assert _json(owlrunner("migrate", "--format", "json", **env))["applied"]
        assert owlrunner("system", "runs", **env).stdout == "No job runs found\n"


def test_no_color(owlrunner: Invoke, database_url: str) -> None:
    """With NO_COLOR set, nothing is coloured, on a terminal neither."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("insert into job_runs (job_type, triggered_by) values ('db_pruning', 'operator')")
    arguments = ("system", "runs", "--since", "1h")
    plain = CliRunner().invoke(cli, arguments, color=True, env={"DATABASE_URL": database_url, "NO_COLOR": "1"})
    coloured = CliRunner().invoke(cli, arguments, color=True, env={"DATABASE_URL": database_url, "NO_COLOR": ""})
    assert ("\x1b" in plain.stdout, "\x1b" in coloured.stdout) == (False, True)
    assert "waiting, no server is alive" in owlrunner(*arguments, DATABASE_URL=database_url).stdout


def test_admin_sets_up_a_team(owlrunner: Invoke, database_url: str) -> None:
    """Team, project, user, key and integration can be made one after the other, naming the earlier ones by slug."""

    def admin(*arguments: str, stdin: str | None = None) -> Any:
        return _json(owlrunner("--format", "json", "admin", *arguments, stdin=stdin, DATABASE_URL=database_url))

    team = admin("create-team", "Night Owls")
    project = admin("create-project", "Tree", "--team", "night-owls")
    assert project["team_id"] == team["id"]
    assert admin("create-user", "owl@owls.test", "--team", team["id"], "--role", "owner")["is_new"]
    key = admin("create-key", "--team", "night-owls", "--permission", "jobs:read", "--expires-in-days", "3")
    assert key["key"].startswith("owl_agent_")
    assert key["permissions"] == ["jobs:read"]
    assert (
        admin("set-integration", "--project", "night-owls/tree", "--api-key-stdin", stdin=f"{SECRET}\n")["provider"]
        == "revenuecat"
    )
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select project_id::text, config ->> 'api_key' from project_integrations").fetchone()
    assert row == (project["id"], SECRET)


def test_admin_takes_away_what_people_hold(owlrunner: Invoke, database_url: str) -> None:
    """Members and keys are listed, as JSON and for people, and a member, a key and sign-ins are ended by name."""

    def admin(*arguments: str) -> Any:
        return _json(owlrunner("--format", "json", "admin", *arguments, DATABASE_URL=database_url))

    admin("create-team", "Owls")
    for email, role in (("owl@owls.test", "owner"), ("ann@owls.test", "admin")):
        admin("create-user", email, "--team", "owls", "--role", role)
    kept, given = (
        admin("create-key", "--team", "owls", "--name", name, "--created-by", "ann@owls.test") for name in "ab"
    )
    assert admin("revoke-key", kept["id"]) == {"revoked": kept["id"]}
    assert [key["id"] for key in admin("list-keys", "--team", "owls")] == [given["id"]]
    shown = owlrunner("admin", "list-members", "--team", "owls", DATABASE_URL=database_url).stdout.splitlines()
    assert shown[0].split() == ["Email", "Name", "Role", "Joined", "at", "Keys"]
    assert [line.split()[0] for line in shown[2:]] == ["owl@owls.test", "ann@owls.test"]
    removed = admin("remove-member", "ann@owls.test", "--team", "owls", "--keys-to", "owl@owls.test")
    assert removed == {"removed": "ann@owls.test", "keys": ["b"], "keys_to": "owl@owls.test"}
    assert [member["email"] for member in admin("list-members", "--team", "owls")] == ["owl@owls.test"]
    assert admin("end-sessions", "ann@owls.test") == {"ended": 0}
    admin("create-user", "ann@owls.test", "--team", "owls", "--role", "admin")
    assert admin("delete-user", "ann@owls.test") == {
        "deleted": "ann@owls.test",
        "teams": ["owls"],
        "keys": [],
        "keys_to": None,
    }
    refused = owlrunner("admin", "remove-member", "owl@owls.test", "--team", "owls", DATABASE_URL=database_url)
    assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)
    assert "the only owner" in refused.stderr


def test_integration_key_is_never_shown(owlrunner: Invoke, database_url: str, tmp_path: Path) -> None:
    """A provider's key comes from a file or standard input, never from an argument, and is not printed, not even when it is bad."""
    file = tmp_path / "key"
    file.write_text(f"{SECRET} two words")
    for arguments in (["--api-key-file", str(file)], ["--api-key", SECRET], []):
        result = owlrunner("admin", "set-integration", "--project", "x/y", *arguments, DATABASE_URL=database_url)
        assert result.exit_code in {1, 2}
        assert SECRET not in result.output


def test_integration_of_an_unknown_provider_is_refused(owlrunner: Invoke, database_url: str) -> None:
    """A provider that no plugin uses exits with 1, and the sentence names those that there are, before a key is read."""
    result = owlrunner(
        "admin", "set-integration", "--project", "x/y", "--provider", "revenuecta", DATABASE_URL=database_url
    )
    assert result.exit_code == 1
    assert "no plugin uses 'revenuecta'; there are: revenuecat" in sentence(result.stderr)


def test_integration_is_changed_in_part(owlrunner: Invoke, database_url: str) -> None:
    """Settings that are not given stay, a disabled integration stays so unless --enable, and secrets are no settings."""

    def put(*arguments: str) -> Any:
        place = ("admin", "set-integration", "--project", "owls/tree", "--api-key-stdin")
        return owlrunner("--format", "json", *place, *arguments, stdin=f"{SECRET}\n", DATABASE_URL=database_url)

    for arguments in (("create-team", "Owls"), ("create-project", "Tree", "--team", "owls")):
        assert owlrunner("admin", *arguments, DATABASE_URL=database_url).exit_code == 0
    assert _json(put("--setting", "project_id=proj_1"))["enabled"]
    with psycopg.connect(database_url) as connection:
        connection.execute("update project_integrations set enabled = false")
    assert not _json(put())["enabled"]
    assert _json(put("--enable"))["enabled"]
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select config from project_integrations").fetchone()
    assert row == ({"api_key": SECRET, "project_id": "proj_1"},)
    for bad in ("project_id", "webhook_secret=x"):
        assert put("--setting", bad).exit_code == 2


def test_refusals_of_admin_are_one_sentence(owlrunner: Invoke, database_url: str) -> None:
    """A team that is not there exits with 1 and a sentence that names it."""
    result = owlrunner("admin", "create-project", "Tree", "--team", "nobody", DATABASE_URL=database_url)
    assert result.exit_code == 1
    assert "'nobody'" in sentence(result.stderr)


def test_bug_is_one_sentence_too(owlrunner: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody expected exits with 1 and one sentence, and the traceback comes only when it is asked for."""

    def broken(_: Config) -> NoReturn:
        raise KeyError("x")

    monkeypatch.setattr("owlrunner.cli.plugins.catalog_of", broken)
    result = owlrunner("plugins", "check")
    assert result.exit_code == 1
    assert "KeyError: 'x'" in sentence(result.stderr)
    assert isinstance(owlrunner("plugins", "check", OWLRUNNER_TRACEBACK="1").exception, KeyError)
