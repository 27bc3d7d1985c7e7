"""Imports run one way. Every rule is read off the source, so imports inside functions count too."""

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "pgmgraph"
PLUGINS = ROOT / "modules" / "pgmgraph_modules"
EXAMPLES = ROOT / "examples"

# A file or sub-package imports from the rows above its own, and from itself; neighbours in a row know nothing of each
# other. pgmgraph/__init__.py, which gathers the public names, stands outside.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("errors",),
    ("atomic", "events"),
    ("messages",),
    ("matrices", "ports"),
    ("groups", "wires"),
    ("prefetch", "randomness"),
    ("plates",),
    ("module",),
    ("observation", "registry", "variables"),
    ("checks",),
    ("graph",),
    ("config",),
    ("mail",),
    ("schedules",),
    ("executors",),
    ("callbacks", "scores"),
    ("datasets",),
    ("snapshots",),
    ("engine",),
    ("ledger", "moments"),
    ("filling", "stages"),
    ("infer", "learning"),
    ("generate", "restarts"),
    ("checkpoints", "interrupts", "journal"),
    ("plotting",),
    ("runs",),
    ("provenance",),
    ("recording", "report"),
    ("fit",),
    ("streams", "trackers"),
    ("cli",),
)
# What may see less than its row allows.
ONLY = {"datasets": {"errors", "atomic"}}

PUBLIC_PACKAGES = (
    "pgmgraph",
    "pgmgraph.config",
    "pgmgraph.datasets",
    "pgmgraph.errors",
    "pgmgraph.plotting",
    "pgmgraph.report",
    "pgmgraph.streams",
    "pgmgraph.trackers",
)
SHARED = {"arguments", "conjugate", "svi"}
NAMELESS = {"utils", "util", "helpers", "helper", "common", "manager", "managers"}

LAYERED = [file for file in sorted(CORE.rglob("*.py")) if file != CORE / "__init__.py"]
ROW = {name: row for row, names in enumerate(LAYERS) for name in names}


@dataclass(frozen=True)
class Import:
    """`from module import name`, or `import module` where there is no name."""

    module: str
    name: str | None
    line: int

    @property
    def top(self) -> str:
        return self.module.split(".")[0]


def sources(*folders: Path) -> list[Path]:
    return sorted(file for folder in folders for file in folder.rglob("*.py"))


def dotted(file: Path) -> tuple[str, ...]:
    """The file's module path, e.g. ("pgmgraph", "messages", "point")."""
    base = ROOT / "modules" if file.is_relative_to(PLUGINS) else ROOT
    parts = file.relative_to(base).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports(file: Path) -> Iterator[Import]:
    package = dotted(file) if file.name == "__init__.py" else dotted(file)[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), filename=str(file))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, None, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *filter(None, [node.module])))
            for alias in node.names:
                yield Import(module, alias.name, node.lineno)


def layer(file: Path) -> str:
    """Where a file of the core stands: its name, or its sub-package's."""
    return dotted(file)[1]


def imported_layer(found: Import) -> str:
    """The layer that an import from the core reaches; "pgmgraph" for the package itself."""
    parts = found.module.split(".")
    if len(parts) > 1:
        return parts[1]
    return found.name if found.name in ROW else "pgmgraph"


def at(file: Path, found: Import) -> str:
    return f"{file.relative_to(ROOT)}:{found.line}"


def by_name(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", LAYERED, ids=by_name)
def test_every_file_of_the_core_has_a_layer(file: Path) -> None:
    assert layer(file) in ROW, f"Add {layer(file)} to LAYERS in {by_name(Path(__file__))}, below all that it imports."


def test_every_layer_is_there() -> None:
    there = {layer(file) for file in LAYERED}
    assert sorted(ROW.keys() - there) == [], "LAYERS names what no longer exists."


@pytest.mark.parametrize("file", [file for file in LAYERED if layer(file) in ROW], ids=by_name)
def test_core_imports_run_one_way(file: Path) -> None:
    name = layer(file)
    allowed = ONLY.get(name, {other for other in ROW if ROW[other] < ROW[name]}) | {name}
    if ROW[name] == len(LAYERS) - 1:
        allowed.add("pgmgraph")  # the command line is a user of the public names
    wrong = [
        f"{at(file, found)}: {name} must not import {imported_layer(found)}"
        for found in imports(file)
        if found.top == "pgmgraph" and imported_layer(found) not in allowed
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", sources(CORE), ids=by_name)
def test_core_knows_no_module_and_no_pyro(file: Path) -> None:
    wrong = [at(file, found) for found in imports(file) if found.top in {"pyro", "pgmgraph_modules"}]
    assert not wrong, "\n".join(wrong)


def test_matplotlib_is_imported_by_plotting_alone() -> None:
    wrong = [
        at(file, found)
        for file in sources(CORE, PLUGINS, EXAMPLES)
        if not file.is_relative_to(CORE / "plotting")
        for found in imports(file)
        if found.top in {"matplotlib", "mpl_toolkits"}
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", sources(PLUGINS, EXAMPLES), ids=by_name)
def test_plugins_and_examples_import_public_names_only(file: Path) -> None:
    wrong = []
    for found in imports(file):
        if found.top != "pgmgraph":
            continue
        if found.name is None or found.module not in PUBLIC_PACKAGES:
            wrong.append(f"{at(file, found)}: write `from {{{' | '.join(PUBLIC_PACKAGES)}}} import ...`")
        elif found.name not in importlib.import_module(found.module).__all__:
            wrong.append(f"{at(file, found)}: {found.name} is not in {found.module}.__all__")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("file", sources(PLUGINS), ids=by_name)
def test_plugins_import_no_other_plugin(file: Path) -> None:
    own = dotted(file)[1] if len(dotted(file)) > 1 else None
    wrong = []
    for found in imports(file):
        if found.top != "pgmgraph_modules":
            continue
        parts = found.module.split(".")
        other = parts[1] if len(parts) > 1 else found.name
        if other not in SHARED | {own}:
            wrong.append(f"{at(file, found)}: imports {other}")
    assert not wrong, "\n".join(wrong)


def test_every_file_is_named_for_what_it_holds() -> None:
    folders = (CORE, PLUGINS, EXAMPLES, ROOT / "benchmarks", ROOT / "tests")
    wrong = [
        by_name(file)
        for file in sources(*folders)
        if any(word in NAMELESS for part in file.relative_to(ROOT).with_suffix("").parts for word in part.split("_"))
    ]
    assert not wrong, f"Name these for the noun that they hold: {', '.join(wrong)}."
