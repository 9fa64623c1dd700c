"""Plugins: what they offer is asked once, and what does not fit stops the start with plugin and cause."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

import owlrunner
from owlrunner.errors import PluginError
from owlrunner.job_type import AnyJobType
from owlrunner.plugins import build_catalog, load_catalog
from owlrunner.provider import Provider


@owlrunner.job_type(scope="project")
async def greet(ctx: owlrunner.JobContext) -> None:
    """Say hello."""


class Panic(BaseException):
    """What no library should raise, and some do; nor can it be shown."""

    def __str__(self) -> str:
        """Raise."""
        raise RuntimeError("panic in panic")


@attrs.frozen
class Colours:
    """A plugin's settings."""

    paint: str
    coats: int = 1


class Loud:
    """A notifier."""

    async def send(self, notification: owlrunner.Notification) -> None:
        """Say nothing."""


def plugin(**hooks: Any) -> object:
    """A plugin module with the given hooks."""
    module = ModuleType("plugin")
    for name, hook in hooks.items():
        setattr(module, name, owlrunner.hookimpl(hook))
    return module


def catalog_of(**plugins: tuple[object, dict[str, Any]]) -> Any:
    """The catalog of plugins given as name=(module, settings table)."""
    return build_catalog({name: (f"{name} 1.0", module, table) for name, (module, table) in plugins.items()})


def test_everything_offered_is_in_the_catalog() -> None:
    """Job types and notifiers arrive by name, and each plugin gets its own settings."""
    seen: list[Colours] = []

    def job_types(settings: owlrunner.Settings) -> list[AnyJobType]:
        seen.append(settings.load(Colours))
        return [greet]

    catalog = catalog_of(
        walls=(plugin(owlrunner_job_types=job_types), {"paint": "white", "coats": 2}),
        bell=(plugin(owlrunner_notifiers=lambda: {"loud": Loud()}), {}),
    )
    assert seen == [Colours("white", 2)]
    assert list(catalog.job_types) == ["greet"]
    assert list(catalog.notifiers) == ["loud"]


def test_the_bundled_plugins_load() -> None:
    """What this distribution installs can be loaded with no settings at all."""
    assert "revenuecat_sync" in load_catalog({}).job_types


def raising(settings: owlrunner.Settings) -> list[AnyJobType]:
    """A hook that fails."""
    raise RuntimeError("out of paint")


def exiting() -> list[AnyJobType]:
    """A hook that reads the command line, which is none of its business."""
    argparse.ArgumentParser(add_help=False).parse_args(["--colour"])
    return [greet]


def panicking() -> Iterator[AnyJobType]:
    """A hook that is a generator, and raises while it is read."""
    yield greet
    raise Panic


def wants_colour(colour: str) -> list[AnyJobType]:
    """A hook that wants what no hook gets."""
    return [greet] if colour else []


async def asynchronous(settings: owlrunner.Settings) -> list[AnyJobType]:
    """A hook that wants to be awaited."""
    return [greet]


def loading(settings: owlrunner.Settings) -> list[AnyJobType]:
    """A hook with settings."""
    settings.load(Colours)
    return [greet]


@pytest.mark.parametrize(
    ("module", "table", "complaint"),
    [
        (plugin(owlrunner_job_types=raising), {}, "owlrunner_job_types raised: RuntimeError: out of paint"),
        (plugin(owlrunner_job_types=exiting), {}, "owlrunner_job_types raised: it called sys.exit(2)"),
        (plugin(owlrunner_job_types=panicking), {}, "a list of JobType objects: Panic: (its message cannot be shown)"),
        (plugin(owlrunner_job_types=lambda: greet), {}, "must return a list of JobType objects: TypeError"),
        (plugin(owlrunner_notifiers=lambda: [Loud()]), {}, "must return a dict of notifiers by name: TypeError"),
        (
            plugin(owlrunner_providers=lambda: [Provider("acme", "Acme", sync_job="sync", sync_count="select 1")]),
            {},
            "provider 'acme': sync_job: the plugin has no job type 'sync' of scope project",
        ),
        (plugin(owlrunner_providers=lambda: [3]), {}, "owlrunner_providers must return Provider objects, got (3,)"),
        (plugin(), {}, "implements no hook"),
        (plugin(owlrunner_job_types=lambda: ["greet"]), {}, "must return JobType objects, got 'greet'"),
        (plugin(owlrunner_notifiers=lambda: {"x": object()}), {}, "notifier 'x' needs an async method send"),
        (plugin(owlrunner_job_typos=raising), {}, "owlrunner_job_typos"),
        (plugin(owlrunner_job_types=wants_colour), {}, "colour"),
        (plugin(owlrunner_job_types=loading), {}, "plugins.walls: object missing required field paint"),
        (plugin(owlrunner_job_types=loading), {"paint": 3}, "plugins.walls.paint: expected str, got int"),
        (plugin(owlrunner_job_types=loading), {"paint": "x", "coat": 3}, "plugins.walls.coat: unknown key"),
        (
            plugin(owlrunner_job_types=lambda: [greet]),
            {"paint": "x"},
            "plugins.walls: paint: the plugin takes no settings",
        ),
        (
            plugin(owlrunner_job_types=lambda: [greet, greet]),
            {},
            "job type 'greet' is offered by plugin walls and again",
        ),
    ],
)
def test_what_does_not_fit_stops_the_start(module: object, table: dict[str, Any], complaint: str) -> None:
    """The message names the plugin and says what is wrong with it."""
    with pytest.raises(PluginError, match="walls") as told:
        catalog_of(walls=(module, table))
    assert complaint in str(told.value)


@pytest.mark.filterwarnings("ignore:coroutine 'asynchronous' was never awaited:RuntimeWarning")
def test_an_async_hook_is_refused() -> None:
    """A hook only returns values: one that wants to be awaited is told so."""
    with pytest.raises(PluginError, match="must be a plain function"):
        catalog_of(walls=(plugin(owlrunner_job_types=asynchronous), {}))


def test_two_plugins_with_one_name_for_a_job_type_are_both_named() -> None:
    """A clash names both plugins."""
    module = plugin(owlrunner_job_types=lambda: [greet])
    with pytest.raises(PluginError, match="plugin a and again by plugin b"):
        catalog_of(a=(module, {}), b=(plugin(owlrunner_job_types=lambda: [greet]), {}))


def test_settings_for_nobody_are_told() -> None:
    """A table for a plugin that is not installed is a mistake, and the message says which plugins there are."""
    with pytest.raises(
        PluginError, match=r"plugins.slak: no plugin of that name is installed; there are: .*revenuecat"
    ):
        load_catalog({"slak": {}})


def test_a_module_that_cannot_be_imported_is_told() -> None:
    """A module that the configuration names must be there."""
    with pytest.raises(PluginError, match="no_such_module"):
        load_catalog({}, ["no_such_module"])


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import sys; sys.exit('bye')", r"it called sys.exit\('bye'\)"),
        ("import argparse; argparse.ArgumentParser().parse_args(['--x'])", r"it called sys.exit\(2\)"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise StopIteration", "StopIteration"),
        ("def f(:", "SyntaxError"),
    ],
)
def test_a_module_that_raises_anything_at_import_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str
) -> None:
    """Whatever a module does while it is imported, the error names the plugin, and the process goes on."""
    (tmp_path / "odd_plugin.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=rf"^plugin odd_plugin \(server.plugins\): cannot be imported: {told}"):
        load_catalog({}, ["odd_plugin"])


def test_ctrl_c_while_plugins_are_loaded_is_no_fault_of_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who interrupts the start is told so, and not that a plugin is broken."""
    (tmp_path / "slow_plugin.py").write_text("raise KeyboardInterrupt")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        load_catalog({}, ["slow_plugin"])


@pytest.mark.parametrize(
    "answer",
    ["migrations", ["0001_a.sql"], owlrunner.Migrations("x"), owlrunner.Migrations(Path(), "b")],  # type: ignore[arg-type]
)
def test_migrations_that_are_no_folder_are_told(answer: object) -> None:
    """A hook that returns no folder, or an order that is none, stops the start with the plugin's name."""

    class Wrong:
        @owlrunner.hookimpl
        def owlrunner_migrations(self) -> object:
            return answer

    with pytest.raises(PluginError, match=r"plugin wrong .*owlrunner_migrations"):
        build_catalog({"wrong": ("tests", Wrong(), {})})
