"""Plugins come in by their entry points; a broken one breaks nothing but itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pgmgraph import Module, registry
from pgmgraph.errors import BrokenPluginError, DuplicatePluginError, UnknownPluginError
from tests.refusals import refused

Install = Callable[..., None]

GOOD = """
from pgmgraph import In, Module, Outbox, Point

class Echo(Module):
    x = In(Point)

    def send(self, x):
        return Outbox()
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Put a distribution on the path: its name, version, entry points and the source of its modules."""
    monkeypatch.syspath_prepend(tmp_path)

    def one(name: str, version: str, entries: dict[str, str], **sources: str) -> None:
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = "\n".join(f"{entry} = {target}" for entry, target in entries.items())
        (info / "entry_points.txt").write_text(f"[pgmgraph.modules]\n{lines}\n")
        for module, source in sources.items():
            (tmp_path / f"{module}.py").write_text(source)
        registry.refresh()

    yield one
    monkeypatch.undo()
    registry.refresh()


def test_a_plugin_is_imported_on_first_use_and_no_sooner(install: Install) -> None:
    install("toy-echo", "1.0", {"echo": "toy_echo_module:Echo"}, toy_echo_module=GOOD)
    assert "echo" in registry.names()
    assert registry.names() == tuple(sorted(registry.names()))
    assert "toy_echo_module" not in sys.modules
    loaded = registry.load("echo")
    assert issubclass(loaded, Module)
    assert loaded.__name__ == "Echo"
    assert "toy_echo_module" in sys.modules
    assert registry.load("echo") is loaded


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import a_library_that_nobody_has", "ModuleNotFoundError: No module named 'a_library_that_nobody_has'"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("def (", "SyntaxError"),
        ("x = 1", "AttributeError"),
    ],
)
def test_a_broken_plugin_says_whose_it_is_and_why(install: Install, source: str, cause: str) -> None:
    install("toy-broken", "2.3.4", {"broken": "toy_broken:Broken"}, toy_broken=source)
    install("toy-sound", "1.0", {"sound": "toy_sound:Echo"}, toy_sound=GOOD)
    try:
        assert {"broken", "sound"} <= set(registry.names())
        with refused(BrokenPluginError, "'broken'", "toy-broken 2.3.4", "toy_broken:Broken", cause) as caught:
            registry.load("broken")
        assert caught.value.plugin == "broken"
        assert caught.value.__cause__ is not None
        assert registry.load("sound").__name__ == "Echo"
    finally:
        for name in ("toy_broken", "toy_sound"):
            sys.modules.pop(name, None)


def test_a_plugin_that_is_no_module(install: Install) -> None:
    install("toy-odd", "0.1", {"function": "os.path:join", "number": "math:pi", "type": "pathlib:Path"})
    for name, target in {"function": "os.path:join", "number": "math:pi", "type": "pathlib:Path"}.items():
        with refused(BrokenPluginError, "subclass of pgmgraph.Module", repr(name), "toy-odd 0.1", target):
            registry.load(name)


def test_two_distributions_with_one_name_are_both_named(install: Install) -> None:
    install("toy-first", "1.0", {"double": "toy_first:Echo"}, toy_first=GOOD)
    install("toy-second", "2.0", {"double": "toy_second:Echo"}, toy_second=GOOD)
    assert registry.names().count("double") == 1
    with refused(
        DuplicatePluginError,
        "'double'",
        "toy-first 1.0 (toy_first:Echo)",
        "toy-second 2.0 (toy_second:Echo)",
        "Uninstall",
    ):
        registry.load("double")
    assert "toy_first" not in sys.modules


def test_an_unknown_name_gets_the_nearest_one_suggested(install: Install) -> None:
    install("toy-echo", "1.0", {"echoes": "toy_echo:Echo"}, toy_echo=GOOD)
    with refused(UnknownPluginError, "No module named 'echos'", "Did you mean 'echoes'?", "Installed: ") as caught:
        registry.load("echos")
    assert caught.value.plugin == "echos"
    with pytest.raises(UnknownPluginError) as caught:
        registry.load("zzzzzz")
    assert "Did you mean" not in str(caught.value)
    assert "echoes" in str(caught.value)
