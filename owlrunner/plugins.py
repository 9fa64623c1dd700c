"""This is the room for finding the plugins, asking each what it offers, and refusing what does not fit, all before the start."""

import contextlib
import importlib
import inspect
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from importlib.resources.abc import Traversable
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import attrs
import pluggy

from owlrunner import hookspecs
from owlrunner.errors import ConfigError, PluginError
from owlrunner.hookspecs import Migrations, NoMail, Settings
from owlrunner.job_type import AnyJobType, JobType, Scope
from owlrunner.notification import MailSender, Notifier
from owlrunner.provider import Provider
from owlrunner.raised_errors import named

GROUP = "owlrunner"


@attrs.frozen
class Plugin:
    """One plugin and what it offers."""

    name: str
    origin: str
    """The distribution and version, or the module, that it comes from."""
    job_types: tuple[AnyJobType, ...]
    notifiers: Mapping[str, Notifier]
    migrations: Migrations | None
    providers: tuple[Provider, ...] = ()


@attrs.frozen
class Catalog:
    """Everything the plugins offer, found once at start and never changed."""

    plugins: tuple[Plugin, ...] = ()
    job_types: Mapping[str, AnyJobType] = attrs.field(factory=dict)
    notifiers: Mapping[str, Notifier] = attrs.field(factory=dict)
    providers: Mapping[str, Provider] = attrs.field(factory=dict)

    def require_provider(self, name: str) -> None:
        """Raise ConfigError unless a plugin uses integrations with this provider."""
        if name not in self.providers:
            known = ", ".join(sorted(self.providers)) or "none"
            raise ConfigError(f"provider: no plugin uses {name[:60]!r}; there are: {known}")

    def named_notifiers(self, names: Iterable[str] | None) -> dict[str, Notifier]:
        """The notifiers of these names, None for all of them. Raises ConfigError for one that no plugin offers."""
        if names is None:
            return dict(self.notifiers)
        for name in names:
            if name not in self.notifiers:
                offered = ", ".join(sorted(self.notifiers)) or "none"
                raise ConfigError(f"notifications.notifiers: no plugin offers {name!r}; there are: {offered}")
        return {name: self.notifiers[name] for name in names}

    def of_scope(self, scope: Scope) -> list[AnyJobType]:
        """The job types of one scope, by name."""
        return [job_type for _, job_type in sorted(self.job_types.items()) if job_type.scope is scope]


def load_catalog(
    tables: Mapping[str, dict[str, Any]], modules: Iterable[str] = (), mailer: MailSender | None = None
) -> Catalog:
    """Load the installed plugins and the named modules, and return what they offer.

    ``tables`` are the ``[plugins.<name>]`` tables; a module's name stands for itself there. ``mailer`` is lent to all of them;
    without one they can be asked, but not send mail.

    Raises PluginError naming plugin and cause.
    """
    found = _installed() | _named(modules)
    for name in tables:
        if name not in found:
            raise PluginError(
                f"plugins.{name}: no plugin of that name is installed; there are: {', '.join(sorted(found)) or 'none'}"
            )
    return build_catalog(
        {name: (origin, module, dict(tables.get(name, {}))) for name, (origin, module) in found.items()},
        mailer,
    )


def build_catalog(found: Mapping[str, tuple[str, object, dict[str, Any]]], mailer: MailSender | None = None) -> Catalog:
    """Ask each plugin (name → origin, module, settings table) what it offers, once, and check it."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    plugins = []
    for name, (origin, module, table) in sorted(found.items()):
        with _blamed_on(f"plugin {name} ({origin})", "does not fit"):
            manager.register(module, name)
            manager.check_pending()
        plugins.append(_ask(manager, name, origin, module, Settings(name, table, mailer or NoMail())))
    return Catalog(
        plugins=tuple(plugins),
        job_types=_merged(
            "job type", ((plugin.name, job_type.name, job_type) for plugin in plugins for job_type in plugin.job_types)
        ),
        notifiers=_merged(
            "notifier",
            ((plugin.name, name, notifier) for plugin in plugins for name, notifier in plugin.notifiers.items()),
        ),
        providers=_merged("provider", ((plugin.name, one.name, one) for plugin in plugins for one in plugin.providers)),
    )


def _installed() -> dict[str, tuple[str, ModuleType]]:
    """The plugins that installed distributions offer, loaded.

    Not by pluggy's own loader: it silently skips the second of two distributions that use one name.
    """
    by_name: dict[str, EntryPoint] = {}
    for entry_point in entry_points(group=GROUP):
        other = by_name.get(entry_point.name)
        # The same distribution can stand twice on sys.path (an editable install seen from its checkout).
        if other is not None and other.value != entry_point.value:
            raise PluginError(
                f"plugin {entry_point.name}: offered by both {_origin(other)} and {_origin(entry_point)}; uninstall one"
            )
        by_name[entry_point.name] = entry_point
    origins = {name: _origin(entry_point) for name, entry_point in by_name.items()}
    return {name: (origins[name], _load(one.value, name, origins[name])) for name, one in by_name.items()}


def _named(modules: Iterable[str]) -> dict[str, tuple[str, ModuleType]]:
    """The plugins that the configuration names as modules, loaded."""
    return {module: (f"module {module}", _load(module, module, "server.plugins")) for module in modules}


def _load(module: str, name: str, origin: str) -> ModuleType:
    with _blamed_on(f"plugin {name} ({origin})", "cannot be imported"):
        return importlib.import_module(module)


@contextlib.contextmanager
def _blamed_on(plugin: str, what: str) -> Iterator[None]:
    """Turn whatever a plugin's code raises into a PluginError that names the plugin. Only Ctrl-C passes through, and sentences.

    A library may raise anything: argparse ends the process, PyO3's panics derive from BaseException.
    """
    try:
        yield
    except (PluginError, ConfigError, KeyboardInterrupt):
        raise
    except SystemExit as error:
        raise PluginError(
            f"{plugin}: {what}: it called sys.exit({error.code!r}), and must not end the process"
        ) from error
    except BaseException as error:
        raise PluginError(f"{plugin}: {what}: {named(error)}") from error


def _origin(entry_point: EntryPoint) -> str:
    if entry_point.dist is None:
        return entry_point.value
    # Its name and version would each read the file of the whole description, readme included.
    metadata = entry_point.dist.metadata
    return f"{metadata['Name']} {metadata['Version']}"


def _ask(manager: pluggy.PluginManager, name: str, origin: str, module: object, settings: Settings) -> Plugin:
    """Call one plugin's hooks. Each plugin is called alone, so that it gets its own settings and an error can name it."""
    who = f"plugin {name} ({origin})"
    others = [plugin for plugin in manager.get_plugins() if plugin is not module]

    def call(hook: str, **arguments: object) -> Any:
        with _blamed_on(who, f"{hook} raised"):
            answers = manager.subset_hook_caller(hook, others)(**arguments)
        if any(inspect.isawaitable(answer) for answer in answers):
            raise PluginError(f"{who}: {hook} must be a plain function that returns its values, not an async one")
        return answers[0] if answers else None

    job_types = call("owlrunner_job_types", settings=settings)
    notifiers = call("owlrunner_notifiers", settings=settings)
    providers = call("owlrunner_providers")
    migrations = call("owlrunner_migrations")
    if job_types is None and notifiers is None and providers is None and migrations is None:
        raise PluginError(f"{who}: implements no hook; is @owlrunner.hookimpl missing?")
    if settings.table and not settings.was_loaded:
        raise PluginError(f"plugins.{name}: {', '.join(sorted(settings.table))}: the plugin takes no settings")
    # In the plugin's name, because a hook may be a generator, and a value may raise when it is looked at.
    with _blamed_on(who, "owlrunner_job_types must return a list of JobType objects"):
        offered = tuple(job_types or ())
    with _blamed_on(who, "owlrunner_notifiers must return a dict of notifiers by name"):
        by_name = dict(notifiers or {})
    with _blamed_on(who, "owlrunner_providers must return a list of Provider objects"):
        used = tuple(providers or ())
    plugin = Plugin(name, origin, offered, by_name, _as_migrations(who, migrations), used)
    with _blamed_on(who, "what it offers cannot be used"):
        _check_offers(plugin)
    return plugin


def _as_migrations(who: str, answer: object) -> Migrations | None:
    """What ``owlrunner_migrations`` returned. Raises PluginError for what is neither a folder nor Migrations."""
    if answer is None:
        return None
    migrations = answer if isinstance(answer, Migrations) else Migrations(cast(Any, answer))
    folder, after = cast(tuple[object, object], (migrations.folder, migrations.after))
    if not isinstance(folder, (Path, Traversable)):
        raise PluginError(
            f"{who}: owlrunner_migrations must return a folder as a Path (or owlrunner.Migrations), got {answer!r:.100}"
        )
    if not isinstance(after, tuple) or not all(isinstance(name, str) for name in after):
        raise PluginError(f"{who}: owlrunner_migrations: after must be a tuple of plugin names, got {after!r:.100}")
    return migrations


def _check_offers(plugin: Plugin) -> None:
    """Raise PluginError for anything offered that is not what it should be."""
    who = f"plugin {plugin.name} ({plugin.origin})"
    for job_type in plugin.job_types:
        if not isinstance(job_type, JobType):
            raise PluginError(
                f"{who}: owlrunner_job_types must return JobType objects, got {job_type!r}; "
                "is @owlrunner.job_type missing?"
            )
    if not all(isinstance(provider, Provider) for provider in plugin.providers):
        raise PluginError(f"{who}: owlrunner_providers must return Provider objects, got {plugin.providers!r:.100}")
    for_projects = {"", *(one.name for one in plugin.job_types if one.scope is Scope.PROJECT)}
    for provider in plugin.providers:
        for what, name in (("sync_job", provider.sync_job), ("webhook_job", provider.webhook_job)):
            if name not in for_projects:
                raise PluginError(
                    f"{who}: provider {provider.name!r}: {what}: the plugin has no job type {name!r} of scope project"
                )
    for name, notifier in plugin.notifiers.items():
        if not inspect.iscoroutinefunction(getattr(notifier, "send", None)):
            raise PluginError(f"{who}: notifier {name!r} needs an async method send(notification)")


def _merged(kind: str, offers: Iterable[tuple[str, str, Any]]) -> dict[str, Any]:
    """All offers (plugin, name, thing) in one mapping by name; a name offered twice stops the start."""
    owner: dict[str, str] = {}
    merged: dict[str, Any] = {}
    for plugin, name, thing in offers:
        if name in owner:
            raise PluginError(
                f"{kind} {name!r} is offered by plugin {owner[name]} and again by plugin {plugin}; rename or remove one"
            )
        owner[name], merged[name] = plugin, thing
    return merged
