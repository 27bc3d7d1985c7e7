"""The registry: modules that installed distributions offer by the entry-point group `pgmgraph.modules`."""

from __future__ import annotations

import threading
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from pgmgraph.errors import BrokenPluginError, DuplicatePluginError, UnknownPluginError, suggestion
from pgmgraph.module import Module

GROUP = "pgmgraph.modules"

_lock = threading.Lock()
_loaded: dict[EntryPoint, type[Module]] = {}


def names() -> tuple[str, ...]:
    """The names of all installed modules, sorted; nothing is imported."""
    return tuple(sorted(_offers()))


def load(name: str) -> type[Module]:
    """The module class of this name, imported on first use.

    Raises:
        UnknownPluginError: no installed distribution offers it.
        DuplicatePluginError: two distributions offer it.
        BrokenPluginError: it cannot be imported, or is no Module.

    Example:
        >>> load("gmm").__name__
        'GMM'
    """
    offers = _offers()
    if name not in offers:
        raise UnknownPluginError(
            f"No module named {name!r} is installed.{suggestion(name, offers)} "
            f"Installed: {', '.join(sorted(offers)) or 'none'}.",
            name,
        )
    entries = offers[name]
    if len(entries) > 1:
        raise DuplicatePluginError(
            f"Two distributions offer a module named {name!r}: {' and '.join(_origin(entry) for entry in entries)}. "
            "Uninstall one of them.",
            name,
        )
    with _lock:
        if entries[0] not in _loaded:
            _loaded[entries[0]] = _import(entries[0])
        return _loaded[entries[0]]


def refresh() -> None:
    """Forget what is installed, after an installation in the running process."""
    _offers.cache_clear()


@cache
def _offers() -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        # One distribution that is found twice (as an editable install is) is no rival of itself.
        if not any(_same_origin(entry, other) for other in found.setdefault(entry.name, [])):
            found[entry.name].append(entry)
    return found


def _import(entry: EntryPoint) -> type[Module]:
    try:
        found: object = entry.load()
    # A plugin is foreign code: whatever its import raises must not break anything but itself.
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        raise BrokenPluginError(
            f"The module {entry.name!r} of {_origin(entry)} cannot be imported: {type(error).__name__}: {error}. "
            "Mend or uninstall that distribution.",
            entry.name,
        ) from error
    if not (isinstance(found, type) and issubclass(found, Module)):
        raise BrokenPluginError(
            f"Expected a subclass of pgmgraph.Module as the module {entry.name!r} of {_origin(entry)}; got {found!r}.",
            entry.name,
        )
    return found


def _origin(entry: EntryPoint) -> str:
    distribution = entry.dist
    name = "an unknown distribution" if distribution is None else f"{distribution.name} {distribution.version}"
    return f"{name} ({entry.value})"


def _same_origin(one: EntryPoint, other: EntryPoint) -> bool:
    return one.value == other.value and _origin(one) == _origin(other)
