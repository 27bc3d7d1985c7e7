"""What is built is what is on disk, and what is installed is pinned."""

import configparser
import importlib
import importlib.metadata
import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
ROOTS = {"pgmgraph": ROOT / "pgmgraph", "pgmgraph_modules": ROOT / "modules" / "pgmgraph_modules"}


def read_setup() -> configparser.ConfigParser:
    setup = configparser.ConfigParser(interpolation=None, delimiters=("=",))
    setup.optionxform = str  # type: ignore[assignment, method-assign]
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    return setup


SETUP = read_setup()


def lines(section: str, option: str) -> list[str]:
    return [line for line in SETUP[section][option].splitlines() if line and not line.startswith("#")]


def requirements() -> list[Requirement]:
    wanted = lines("options", "install_requires")
    for extra in SETUP["options.extras_require"]:
        wanted += lines("options.extras_require", extra)
    return [Requirement(line) for line in wanted]


def constraint_lines() -> list[str]:
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def pins() -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in (line.split("==") for line in constraint_lines())}


def entry_points() -> list[importlib.metadata.EntryPoint]:
    group = "pgmgraph.modules"
    entries = (line.split("=") for line in lines("options.entry_points", group))
    return [importlib.metadata.EntryPoint(name.strip(), target.strip(), group) for name, target in entries]


def test_packages_listed_are_the_packages_on_disk() -> None:
    on_disk = set()
    for name, root in ROOTS.items():
        for folder in {file.parent for file in root.rglob("*.py")}:
            on_disk.add(".".join((name, *folder.relative_to(root).parts)))

    assert sorted(lines("options", "packages")) == sorted(on_disk), (
        "setup.cfg lists other packages than the disk holds."
    )


@pytest.mark.parametrize("name", lines("options", "packages"))
def test_every_package_is_a_regular_package(name: str) -> None:
    first, *rest = name.split(".")
    assert ROOTS[first].joinpath(*rest, "__init__.py").is_file()


@pytest.mark.parametrize("name", ROOTS)
def test_types_are_announced(name: str) -> None:
    assert (ROOTS[name] / "py.typed").is_file()
    assert SETUP["options.package_data"][name] == "py.typed"


@pytest.mark.parametrize("name", lines("options", "packages"))
def test_files_beside_the_code_are_in_the_wheel(name: str) -> None:
    """setuptools takes along what package_data lists, and nothing else."""
    first, *rest = name.split(".")
    folder = ROOTS[first].joinpath(*rest)
    beside = {file.name for file in folder.iterdir() if file.is_file() and file.suffix not in (".py", ".pyc")}
    listed = SETUP["options.package_data"].get(name, "").replace(",", " ").split()
    assert beside == set(listed)


@pytest.mark.parametrize("entry", entry_points(), ids=lambda entry: entry.name)
def test_entry_points_resolve_to_modules(entry: importlib.metadata.EntryPoint) -> None:
    base = importlib.import_module("pgmgraph").Module
    assert issubclass(entry.load(), base)


def test_everything_required_is_pinned_within_its_range() -> None:
    pinned = pins()
    wrong = [
        str(wanted)
        for wanted in requirements()
        if not wanted.specifier.contains(pinned.get(canonicalize_name(wanted.name), "0"), prereleases=True)
    ]
    assert not wrong, f"constraints.txt does not pin, or pins outside the range: {', '.join(wrong)}."


def test_everything_that_comes_along_is_pinned() -> None:
    """The closure over the installed distributions; torch's own, which differs with the hardware, is left out."""
    waiting = requirements()
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if (name, frozenset(wanted.extras)) in seen:
            continue
        seen.add((name, frozenset(wanted.extras)))
        if name == "torch":
            continue
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra that is not installed: pinned itself, what it brings is not known here
        for line in lines:
            needed = Requirement(line)
            extras = wanted.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(needed)

    missing = sorted({name for name, _ in seen} - pins().keys())
    assert not missing, f"constraints.txt does not pin {', '.join(missing)}."


def test_the_installer_is_pinned() -> None:
    assert {"pip", "setuptools", "wheel"} <= pins().keys()


def test_pins_are_exact_sorted_and_for_any_build_of_torch() -> None:
    listed = constraint_lines()
    assert [line for line in listed if not re.fullmatch(r"[a-z0-9.-]+==[a-z0-9.]+", line)] == []
    assert listed == sorted(listed)
    assert len(pins()) == len(listed)
    assert pins().keys().isdisjoint({"torchvision", "torchaudio"})
