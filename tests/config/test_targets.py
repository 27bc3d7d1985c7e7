"""Targets lead to what they name, by module or by file, and what has a target leads back to it."""

from __future__ import annotations

import collections
import json.decoder
import sys
import types
from pathlib import Path

import pytest
import sklearn.decomposition
import torch

from pgmgraph import registry
from pgmgraph.config.targets import registered_name, resolve, searched, target_of
from pgmgraph.errors import ConfigError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import Ramp
from tests.refusals import refused

SOURCE = """
class Outer:
    class Inner:
        pass

def make():
    class Local:
        pass
    return Local
"""


@pytest.mark.parametrize(
    ("found", "target"),
    [
        (collections.OrderedDict, "collections:OrderedDict"),
        (json.decoder.JSONDecoder, "json:JSONDecoder"),
        (collections.OrderedDict.fromkeys, None),
        (torch.optim.Adam, "torch.optim:Adam"),
        (sklearn.decomposition.PCA, "sklearn.decomposition:PCA"),
        (Ramp, "pgmgraph_modules.vae:Ramp"),
        (registry.load, "pgmgraph.registry:load"),
        (lambda: 0, None),
        (3, None),
    ],
)
def test_the_shortest_module_that_offers_it(found: object, target: str | None) -> None:
    assert target_of(found) == target
    if target is not None:
        assert resolve(target) is found


def test_files_are_run_once_and_their_classes_go_by_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the file is called, and under another name in each folder."""
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "json.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    inner = resolve("one/json.py:Outer.Inner")
    assert isinstance(inner, type)
    assert target_of(inner) == "one/json.py:Outer.Inner"
    assert resolve("json.py:Outer.Inner", [tmp_path / "one"]) is inner
    assert resolve(f"{tmp_path}/one/json.py:Outer.Inner") is inner
    assert resolve("other/json.py:Outer.Inner") is not inner
    assert target_of(resolve("one/json.py:make")()) is None  # type: ignore[operator]
    monkeypatch.chdir(tmp_path / "other")
    assert target_of(inner) == f"{tmp_path}/one/json.py:Outer.Inner"
    assert resolve("json:JSONDecoder") is json.decoder.JSONDecoder


def test_modules_beside_the_configuration_are_found_and_the_path_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy_beside_it.py").write_text("class Net: pass\n")
    (tmp_path / "toy_importer.py").write_text("from toy_beside_it import Net\n")
    before = list(sys.path)
    try:
        with refused(ConfigError, "No Python module named 'toy_beside_it'", str(Path.cwd())):
            resolve("toy_beside_it:Net")
        net = resolve("toy_importer.py:Net", [tmp_path])
        with searched([tmp_path]):
            assert resolve("toy_beside_it:Net") is net
        assert sys.path == before
        assert target_of(net) == "toy_beside_it:Net"
    finally:
        sys.modules.pop("toy_beside_it", None)


def test_what_a_script_defines_goes_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.py").write_text("class Net: pass\n")
    script = types.ModuleType("__main__")
    script.__file__ = str(tmp_path / "train.py")
    exec("class Net: pass", vars(script))
    monkeypatch.setitem(sys.modules, "__main__", script)
    monkeypatch.chdir(tmp_path)
    assert target_of(script.Net) == "train.py:Net"
    assert resolve("train.py:Net") is script.Net


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("json", ("Expected 'package.module:name' or 'file.py:name'", "'json'")),
        (":load", ("Expected 'package.module:name'",)),
        ("json:", ("Expected 'package.module:name'",)),
        ("json:a b", ("Expected 'package.module:name'",)),
        (".json:load", ("Expected the name of a Python module",)),
        ("../json:load", ("Expected the name of a Python module",)),
        ("a\0.py:load", ("Expected 'package.module:name'",)),
        ("jsn_of_nobody:load", ("No Python module named 'jsn_of_nobody'",)),
        ("json.nothing:load", ("No Python module named 'json.nothing'",)),
        ("json:laod", ("json has no 'laod'.", "Did you mean 'load'?")),
        ("json:load.x", ("json has no 'load.x'.",)),
        ("nowhere/at_all.py:load", ("No file", "nowhere/at_all.py")),
        (f"{'a' * 900}:load", ("aaa",)),
        (f"{'a' * 900}.py:load", ("Looking for", "name too long")),
        (f"{'a' * 5000}:load", ("Expected 'package.module:name'", "...")),
    ],
)
def test_what_leads_nowhere_is_refused(target: str, parts: tuple[str, ...]) -> None:
    with refused(ConfigError, *parts):
        resolve(target)


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("import a_library_that_nobody_has", "ModuleNotFoundError: No module named 'a_library_that_nobody_has'"),
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import sys; sys.exit('usage: ...')", "SystemExit: usage: ..."),
        ("def (", "SyntaxError"),
    ],
)
def test_code_that_breaks_on_import_says_so(tmp_path: Path, source: str, cause: str) -> None:
    (tmp_path / "broken_on_import.py").write_text(source)
    before = set(sys.modules)
    with refused(ConfigError, "broken_on_import.py", cause):
        resolve("broken_on_import.py:Net", [tmp_path])
    with refused(ConfigError, "broken_on_import", cause), searched([tmp_path]):
        resolve("broken_on_import:Net")
    assert not {name for name in set(sys.modules) - before if "broken_on_import" in name}


def test_an_interrupt_passes(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        resolve("interrupted.py:Net", [tmp_path])


def test_registered_classes_go_by_their_name_and_others_do_not() -> None:
    assert {name: registered_name(registry.load(name)) for name in registry.names()} == {
        name: name for name in registry.names()
    }

    class Own(GMM):
        """A mixture of one's own."""

    assert registered_name(Own) is None


def test_asking_for_a_name_imports_no_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "toy_early-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-early\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pgmgraph.modules]\na_name_before_gmm = toy_early_module:Early\n")
    (tmp_path / "toy_early_module.py").write_text("from pgmgraph_modules.gmm import GMM as Early\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert registered_name(GMM) == "gmm"
    assert "toy_early_module" not in sys.modules
