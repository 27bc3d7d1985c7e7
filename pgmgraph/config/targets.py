"""Targets: objects that a configuration names, as "package.module:name" or "file.py:name"."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from pgmgraph import registry
from pgmgraph.config.problems import foreign, shown
from pgmgraph.errors import ConfigError, suggestion
from pgmgraph.module import Module

_FILE = "pgmgraph_file_"
_LONGEST = 1_000


@contextmanager
def searched(folders: Sequence[Path]) -> Iterator[None]:
    """Let imports find what lies in these folders and in the current one, after all that is installed."""
    wanted = [str(folder.resolve()) for folder in (*folders, Path())]
    added = [folder for folder in dict.fromkeys(wanted) if folder not in sys.path]
    sys.path.extend(added)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        for folder in added:
            if folder in sys.path:
                sys.path.remove(folder)


def resolve(target: str, folders: Sequence[Path] = ()) -> object:
    """The object of a target; its file is looked for in `folders` and in the current one.

    Raises:
        ConfigError: the target is malformed, cannot be imported, or holds no such name.
    """
    place, _, name = target.rpartition(":")
    names = name.split(".")
    if not place or not all(part.isidentifier() for part in names) or "\0" in place or len(target) > _LONGEST:
        raise ConfigError(f"Expected 'package.module:name' or 'file.py:name'; got {shown(target)}.")
    found: object = _from_file(place, folders) if place.endswith(".py") else _module(place)
    for part in names:
        with foreign(f"Looking for {part!r} in {place}"):
            if not hasattr(found, part):
                near = suggestion(part, [known for known in dir(found) if not known.startswith("_")])
                raise ConfigError(f"{place} has no {name!r}.{near}")
            found = getattr(found, part)
    return found


def target_of(found: object) -> str | None:
    """The target that a class or function is found at, None where there is none.

    Of several modules that offer it, the shortest: `torch.optim:Adam`. What a script defines goes by its file.
    """
    module, name = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str):
        return None
    if module == "__main__" or module.startswith(_FILE):
        file = getattr(sys.modules.get(module), "__file__", None)
        place = module if file is None else _relative(Path(file))
        return f"{place}:{name}" if _holds(module, name, found) else None
    parts = module.split(".")
    for length in range(1, len(parts) + 1):
        shorter = ".".join(parts[:length])
        if _holds(shorter, name, found):
            return f"{shorter}:{name}"
    return None


def _holds(module: str, name: str, wanted: object) -> bool:
    found: object = sys.modules.get(module)
    for part in name.split("."):
        # Not getattr: a module may import whatever it is asked for, and nothing is to be imported here.
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
    return found is wanted


def _relative(file: Path) -> str:
    file, here = file.resolve(), Path().resolve()
    return (file.relative_to(here) if file.is_relative_to(here) else file).as_posix()


def _module(name: str) -> ModuleType:
    if not all(part.isidentifier() for part in name.split(".")):
        raise ConfigError(f"Expected the name of a Python module or of a .py file; got {shown(name)}.")
    try:
        with foreign(f"Importing {name}"):
            return importlib.import_module(name)
    except ConfigError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and cause.name and f"{name}.".startswith(f"{cause.name}."):
            raise ConfigError(
                f"No Python module named {cause.name!r} is installed, or lies beside the configuration or in the "
                f"current folder, {Path().resolve()}."
            ) from error
        raise


def _from_file(place: str, folders: Sequence[Path]) -> ModuleType:
    """The module of a file, run once a process."""
    with foreign(f"Looking for {place}"):
        candidates = [(folder / place).resolve() for folder in (*folders, Path())]
        path = next((one for one in candidates if one.is_file()), None)
    if path is None:
        raise ConfigError(f"No file {' or '.join(str(one) for one in dict.fromkeys(candidates))}.")
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if script is not None and Path(script).resolve() == path:
        return sys.modules["__main__"]
    # A name by its place: files of one name may lie in several folders, or have that of an installed package.
    name = f"{_FILE}{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with searched([path.parent]), foreign(f"Running {path}"):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def registered_name(kind: type[Module]) -> str | None:
    """The name that a class has in the registry, None where it has none; plugins not yet in use are not imported."""
    offers: dict[str, set[str]] = {}
    for entry in entry_points(group=registry.GROUP):
        offers.setdefault(entry.name, set()).add(entry.value)
    for name, values in sorted(offers.items()):
        if len(values) == 1:
            module, _, attribute = values.pop().partition(":")
            if _holds(module, attribute, kind):
                return name
    return None
