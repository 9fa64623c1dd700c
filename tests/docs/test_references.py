"""The reference is complete and true: it is compared with the code, name by name."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable
from typing import Any

import attrs
import msgspec
import pytest

import owlrunner
import owlrunner.testing
from owlrunner import context, hookspecs, jobs, run_log
from owlrunner.accounts import credentials, door, origin
from owlrunner.config import Config, load_config
from owlrunner.errors import OwlRunnerError
from owlrunner.job_run import TRANSITIONS, RunStatus
from owlrunner.web.errors import STATUS
from owlrunner.web.route import Auth, Route, all_answers
from owlrunner.web.routes import ROUTES
from owlrunner_email import EmailSettings
from owlrunner_email.layout import LONGEST_VALUE
from owlrunner_maintenance import MaintenanceSettings, PruningParams, RetentionParams
from owlrunner_maintenance.settings import LinkedTable
from owlrunner_revenuecat import SyncSettings
from owlrunner_webhook import WebhookSettings
from owlrunner_webhook.message import event
from tests.docs import cli_reference
from tests.docs.command_lines import command_lines, read_curl
from tests.docs.pages import DOCS, ROOT, blocks, headings, names, prose, reference, rows, section
from tests.plugins.ended_run import missed_alert, notification

HTTP_API = reference("http-api")
NEEDS = {Auth.NONE: "Needs no credential", Auth.USER: "Needs a user", Auth.USER_OR_KEY: "Needs an API key"}


def route_heading(route: Route) -> str:
    """What a route's section is called."""
    return f"`{route.method} {route.path}`"


def shown_default(value: Any) -> str:
    """A default as the tables of arguments show it."""
    return "required" if value is inspect.Parameter.empty else f"`{value!r}`".replace("'", '"')


def arguments_of(function: Callable[..., Any]) -> list[tuple[str, str]]:
    """A function's arguments with their defaults, as a table shows them."""
    return [(one.name, shown_default(one.default)) for one in inspect.signature(function).parameters.values()]


def told_arguments(text: str) -> list[tuple[str, str]]:
    """What a table of arguments tells: names and defaults."""
    return [(row[0].strip("`"), row[1]) for row in rows(text, "argument")]


def toml_default(field: "attrs.Attribute[Any]") -> str:
    """A key's default as the tables of keys show it."""
    default: Any = field.default
    value = default.factory() if isinstance(default, attrs.Factory) else default  # type: ignore[arg-type]
    match value:
        case None:
            return "unset"
        case bool():
            return f"`{str(value).lower()}`"
        case int() | float() | list():
            return f"`{value}`"
        case _:
            return f'`"{value}"`'


def test_every_route_has_a_section() -> None:
    """The sections are the table of routes, each once; a new route without a section fails here."""
    assert sorted(headings(HTTP_API, 3)) == sorted(map(route_heading, ROUTES))


@pytest.mark.parametrize("route", ROUTES, ids=route_heading)
def test_a_routes_section_is_true(route: Route) -> None:
    """Who may come in, parameters, fields, answers and the example are those that the route declares."""
    text = section(HTTP_API, f"### {route_heading(route)}")
    assert f"{route.summary}. {NEEDS[route.auth]}" in text
    assert all(f"`{permission}`" in text for permission in route.permissions)
    assert names(text, "query") == list(route.query.__struct_fields__ if route.query else ())
    assert names(text, "body") == list(route.body.__struct_fields__ if route.body else ())
    statuses = {int(status) for status in re.findall(r"^- (\d{3}): ", text, re.MULTILINE)}
    assert set(route.answers) <= statuses <= set(all_answers(route))
    (example,) = [read_curl(words[1:]) for block in blocks(text, "bash") for words in command_lines(block.text)]
    assert example.route is route


@pytest.mark.parametrize("route", [route for route in ROUTES if route.name != "openapi"], ids=route_heading)
def test_the_answers_shown_have_the_shapes_declared(route: Route) -> None:
    """Each JSON block of a section is one of the route's answers, field by field in order, and success is among them."""
    seen = set()
    for block in blocks(section(HTTP_API, f"### {route_heading(route)}"), "json"):
        raw = msgspec.json.decode(block.text)
        fitting = [status for status, shapes in route.answers.items() if any(has_shape(raw, one) for one in shapes)]
        assert fitting, block.text
        seen |= set(fitting)
    assert min(route.answers) in seen


def has_shape(raw: object, shape: type[msgspec.Struct]) -> bool:
    """Whether JSON is what this class would be written as."""
    try:
        value = msgspec.convert(raw, shape)
    except msgspec.ValidationError:
        return False
    return msgspec.json.encode(value) == msgspec.json.encode(raw)


def test_the_readme_shows_a_run_as_it_is() -> None:
    """The run in the README has the fields of a run, in their order."""
    (block,) = blocks((ROOT / "README.md").read_text("utf-8"), "json")
    view = next(route for route in ROUTES if route.name == "view_run")
    assert has_shape(msgspec.json.decode(block.text), view.answers[200][0])


def test_the_command_line_page_is_current() -> None:
    """The page says what the commands say; ``python -m tests.docs.cli_reference`` writes it anew."""
    assert reference("cli").partition(cli_reference.MARK)[2].strip() == cli_reference.rendered().strip()
    assert sorted(names(section(reference("cli"), "## Shared options"), "option")) == sorted(cli_reference.SHARED)


def test_every_section_of_the_configuration_is_told() -> None:
    """Each section and key has its row, in order, with its default; what is a time says that it is in seconds."""
    text = reference("config")
    for part in attrs.fields(Config):
        if part.name != "plugins":
            check_keys(section(text, f"## `[{part.name}]`"), attrs.fields(type(getattr(Config(), part.name))))
    for plugin, settings in (("email", EmailSettings), ("revenuecat", SyncSettings), ("webhook", WebhookSettings)):
        check_keys(section(text, f"### `[plugins.{plugin}]`"), attrs.fields(settings))
    told = [heading for heading in headings(text, 2) if heading.startswith("`[")]
    assert told == [f"`[{part.name}]`" for part in attrs.fields(Config) if part.name != "plugins"] + [
        "`[plugins.<name>]`"
    ]


def check_keys(text: str, fields: "Iterable[attrs.Attribute[Any]]") -> None:
    """Fail unless the table has a row for each field."""
    wanted = [(field.name, toml_default(field), "float" in str(field.type)) for field in fields]
    told = [(row[0].strip("`"), row[1], row[2].startswith("Seconds ")) for row in rows(text, "key")]
    assert told == wanted


def test_settings_of_the_maintenance_are_told() -> None:
    """The page has every setting and every param of a job, each with its default, and no other."""
    page = reference("maintenance")
    fields = {field.name: field for field in attrs.fields(MaintenanceSettings)}
    told = {row[0].strip("`"): row[1] for row in rows(page, "key")}
    # Tables in lists are told in words.
    words = {"partitioned_tables", "linked_tables", "soft_deleted_roots", "soft_deleted_leaves"}
    assert {key: shown for key, shown in told.items() if key not in words} == {
        key: toml_default(fields[key]) for key in told if key not in words
    }
    assert fields.keys() == told.keys()
    for job, params in (("db_pruning", PruningParams), ("run_retention", RetentionParams)):
        text = section(page, f"## `{job}`")
        assert [(row[0].strip("`"), row[1]) for row in rows(text, "param")] == [
            (field.name, "unset" if field.default is None else toml_default(field)) for field in attrs.fields(params)
        ]


@pytest.mark.parametrize(
    ("job", "inner"),
    [
        ("db_pruning", {"partition", "action", "from", "to", "freed_bytes", "skipped", "reason"}),
        ("partition_creation", {"missing"}),
    ],
)
def test_results_of_the_maintenance_are_told(job: str, inner: set[str]) -> None:
    """Every key that a result has stands in the page's table, and no other."""
    told = set(names(section(reference("maintenance"), f"### The result of `{job}`"), "result"))
    code = (ROOT / "plugins" / "owlrunner_maintenance" / f"{job}.py").read_text("utf-8")
    in_results = {one or other for one, other in re.findall(r'^ +"(\w+)": |result\["(\w+)"\]', code, re.MULTILINE)}
    assert told - {"<table>"} == in_results - inner


def test_the_example_configuration_is_the_defaults() -> None:
    """config/owlrunner.toml changes nothing until it is changed, but for the schedules that lie beside it."""
    config = load_config(ROOT / "config" / "owlrunner.toml", {})
    assert attrs.evolve(config, server=attrs.evolve(config.server, schedules=None)) == Config()


def test_what_soft_delete_cleanup_is_told() -> None:
    """Its lists of tables and what is linked stand in the reference as they are, and its errors in the words of the code."""
    page = reference("maintenance")
    text = section(page, "## `soft_delete_cleanup`")
    settings = MaintenanceSettings()
    told = {row[0].strip("`"): row[1].replace("`", "").split(", ") for row in rows(page, "key")}
    assert told["soft_deleted_roots"] == list(settings.soft_deleted_roots)
    assert told["soft_deleted_leaves"] == list(settings.soft_deleted_leaves)
    assert names(text, "entry") == [field.name for field in attrs.fields(LinkedTable)]
    linked = {name for one in settings.linked_tables for name in (one.table, one.column)}
    assert linked <= set(re.findall("`([^`]+)`", text))
    sources = "".join(one.read_text("utf-8") for one in (ROOT / "plugins" / "owlrunner_maintenance").glob("*.py"))
    for row in rows(text, "text"):
        for part in re.findall(r"[^`…;]{10,}", row[0]):
            assert part.strip() in sources, part


def test_every_argument_of_a_job_type_is_told() -> None:
    """job_type(), Retry() and testing.run() with every argument and default, in order."""
    text = reference("job-type")
    assert told_arguments(section(text, "## `job_type(…)`")) == arguments_of(owlrunner.job_type)
    assert told_arguments(section(text, "## `Retry(…)`")) == arguments_of(owlrunner.Retry)
    assert told_arguments(section(text, "## `owlrunner.testing.run(…)`")) == arguments_of(owlrunner.testing.run)
    fields = [field.name for field in attrs.fields(owlrunner.JobType)]
    assert names(section(text, "## `JobType`"), "field") == fields


def test_every_hook_is_told() -> None:
    """The hooks with their arguments."""
    found = [
        f"{name}{tuple(inspect.signature(hook).parameters)}" for name, hook in vars(hookspecs).items() if is_hook(hook)
    ]
    told = names(section(reference("job-type"), "## Hooks"), "hook")
    assert told == [one.replace("',)", ")").replace("('", "(") for one in found]


def is_hook(value: object) -> bool:
    """Whether this is one of the specifications."""
    return hasattr(value, "owlrunner_spec")


def test_every_member_of_the_context_is_told() -> None:
    """What handlers use has a row, and what they do not is named as such."""
    text = reference("context")
    told = [name.removeprefix("ctx.").partition("(")[0] for name in names(text, "member")]
    inner = re.findall(r"`(\w+)`", section(text, "## Not for handlers"))
    assert sorted(told + inner) == sorted(name for name in dir(owlrunner.JobContext) if not name.startswith("_"))
    for name in ("progress", "is_cancelled", "connect"):
        signature = inspect.signature(getattr(owlrunner.JobContext, name))
        arguments = [str(one.replace(annotation=one.empty)) for one in signature.parameters.values()][1:]
        assert f"`ctx.{name}({', '.join(arguments)})`".replace("'", '"') in text


def test_what_notifiers_get_is_told() -> None:
    """Every member of a notification and every argument of the mailer has a row, and the webhook's request is as shown."""
    text = reference("notifications")
    fields = [field.name for field in attrs.fields(owlrunner.Notification)]
    made = [
        name for name, value in vars(owlrunner.Notification).items() if isinstance(value, property) and name[0] != "_"
    ]
    assert names(section(text, "## `Notification`"), "field") == fields + made
    arguments = arguments_of(owlrunner.MailSender.send)[1:]
    assert told_arguments(section(text, "## `MailSender`")) == arguments
    assert names(section(text, "## `MissedFires`"), "field") == [
        field.name for field in attrs.fields(owlrunner.MissedFires)
    ]
    shown = [msgspec.json.decode(block.text) for block in blocks(section(text, "## The webhook's requests"), "json")]
    sent = [
        msgspec.json.decode(msgspec.json.encode(event(one))) for one in (notification(), missed_alert("db_pruning"))
    ]
    assert [_shape(one) for one in shown] == [_shape(one) for one in sent]


def _shape(value: Any) -> Any:
    """The keys in order, and the types of what is neither an object nor a list of objects."""
    match value:
        case dict():
            return [(key, _shape(one)) for key, one in value.items()]
        case [dict(), *_]:
            return [_shape(one) for one in value]
        case _:
            return type(value)


def test_every_error_is_told() -> None:
    """Each error has its row, with what it derives from and what the API makes of it."""
    told = {row[0].strip("`"): (row[1].strip("`"), row[2]) for row in rows(reference("errors"), "error")}
    wanted = {error.__name__: (error.__bases__[0].__name__, answer_to(error)) for error in every_error()}
    assert told == wanted


def every_error() -> list[type[OwlRunnerError]]:
    """OwlRunnerError and all that derive from it in OwlRunner itself."""
    for module in pkgutil.walk_packages(owlrunner.__path__, "owlrunner."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, waiting = [], [OwlRunnerError]
    while waiting:
        error = waiting.pop()
        found.append(error)
        waiting += [one for one in error.__subclasses__() if one.__module__.startswith("owlrunner.")]
    return found


def answer_to(error: type[Exception]) -> str:
    """The status that the API answers with, as the table shows it."""
    return next((str(STATUS[kind]) for kind in error.__mro__ if kind in STATUS), "")


def test_every_public_name_is_told() -> None:
    """``import owlrunner`` offers names in alphabetical order, and each stands in the reference."""
    assert owlrunner.__all__ == sorted(owlrunner.__all__)
    told = "".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))
    assert [name for name in owlrunner.__all__ if not re.search(rf"`(owlrunner\.)?{name}\b", told)] == []
    listed = prose(reference("job-type")).partition("## ")[0]
    assert [name for name in owlrunner.__all__ if f"`{name}`" not in listed] == []


def test_the_moves_of_a_run_are_those_of_the_code() -> None:
    """The table of moves is TRANSITIONS; each names its statement, and every statement that sets a status is named."""
    told = rows(section((DOCS / "explanation" / "life-of-a-run.md").read_text("utf-8"), "## Moves"), "from")
    assert {(old, new) for old, new, *_ in told} == {(old, new) for old in TRANSITIONS for new in TRANSITIONS[old]}
    named = {re.findall(r"\[(\w+\.sql)\]", row[3])[0] for row in told}
    statements = (ROOT / "owlrunner" / "storage" / "sql" / "job_runs").glob("*.sql")
    setting = {
        one.name for one in statements if re.search(r"^( *set| {4,})\s*status = ", one.read_text("utf-8"), re.MULTILINE)
    }
    assert named == setting


def test_every_status_is_told() -> None:
    """The statuses with their meanings, in order."""
    text = section((DOCS / "explanation" / "life-of-a-run.md").read_text("utf-8"), "## Statuses")
    assert [row[0] for row in rows(text, "status")] == list(RunStatus)


def test_the_glossary_is_in_order() -> None:
    """A word can be found by its place."""
    words = [row[0] for row in rows(reference("glossary"), "word")]
    assert words == sorted(set(words))


def test_errors_of_runs_are_those_of_the_code() -> None:
    """Each text of the table that is not made of … stands in the code."""
    sources = "".join(one.read_text("utf-8") for kind in ("*.py", "*.sql") for one in (ROOT / "owlrunner").rglob(kind))
    for row in rows(section(reference("errors"), "## Errors of runs"), "text"):
        for text in re.findall(r"`([^`…]{12,})`", row[0]):
            assert text in sources or text == "OwlRunnerError", text


def test_numbers_in_prose_are_those_of_the_code() -> None:
    """Limits that the pages tell in words are the constants."""
    assert f"{run_log.MAX_LOG_LINES:,} lines" in reference("context")
    assert f"first {run_log.MAX_LOG_MESSAGE:,} characters" in reference("context")
    assert f"first {context.MAX_PROGRESS_MESSAGE} characters" in reference("context")
    assert f"first\n{LONGEST_VALUE:,} characters" in reference("notifications")
    assert f"| `priority` | {jobs.PRIORITIES[0]} to {jobs.PRIORITIES[-1]}," in HTTP_API
    assert f"1 to {credentials.LONGEST_KEY_DAYS}" in HTTP_API
    assert f"{origin.GUESSES} wrong guesses" in HTTP_API
    assert f"at most {origin.LIMITS.own} codes an hour for an address" in HTTP_API
    assert door.SESSION_SECONDS == 7 * 24 * 60 * 60, "good for seven days"
