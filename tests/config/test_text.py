"""YAML keeps every value to the last bit, and takes nothing but plain values, each written once."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pgmgraph.config import Plain, config_text, read_config
from pgmgraph.errors import ConfigError
from tests.refusals import refused

scalars = st.none() | st.booleans() | st.integers(-(10**25), 10**25) | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
mappings = st.dictionaries(st.text(), values, max_size=5)

many = settings(deadline=None, derandomize=True, max_examples=100)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("text") / "graph.yaml"


def alike(one: Plain, other: Plain) -> bool:
    """Equal, with types, order and signs of zero."""
    return repr(one) == repr(other)


@many
@given(config=mappings)
def test_what_is_written_is_read_back_exactly(file: Path, config: dict[str, Plain]) -> None:
    file.write_text(config_text(config), encoding="utf-8")
    assert alike(read_config(file), config)


@many
@given(text=st.text(alphabet="+-.0123456789eE_:xnulftrys~ '\"#", max_size=8))
def test_text_that_looks_like_something_else_stays_text_for_every_reader(file: Path, text: str) -> None:
    written = config_text({"key": text})
    file.write_text(written, encoding="utf-8")
    assert read_config(file) == {"key": text}
    assert yaml.safe_load(written) == {"key": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", float("-inf")),
        ("12:30", "12:30"),
        ("no", "no"),
        ("1_000", "1_000"),
        ("010", "010"),
        ("2024-01-01", "2024-01-01"),
        ("true", True),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-17", -17),
        ("9" * 31, "9" * 31),
    ],
)
def test_scalars_are_those_of_yaml_1_2(file: Path, text: str, value: Plain) -> None:
    file.write_text(f"key: {text}\n")
    assert alike(read_config(file), {"key": value})


def test_short_mappings_stand_in_one_line_and_long_ones_do_not() -> None:
    config = {"modules": {"gmm": {"module": "gmm", "components": 3}, "vae": {"module": "vae", "hidden": [500] * 20}}}
    assert config_text(config).splitlines() == [
        "modules:",
        "  gmm: {module: gmm, components: 3}",
        "  vae:",
        "    module: vae",
        f"    hidden: [{', '.join(['500'] * 20)}]",
    ]
    assert config_text({}) == "{}\n"


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a: [1, 2\nb: 3\n", ("line 2, column 2",)),
        ("a: 1\nb: 2\na: 3\n", ("line 3, column 1", "the key 'a' is there twice")),
        ("a: {b: 1, b: 2}\n", ("line 1, column 11", "'b' is there twice")),
        (BOMB, ("line 2, column 8", "alias")),
        ("a: !!python/object/apply:os.system [echo]\n", ("line 1, column 4", "python/object")),
        ("a: !!set {x, y}\n", ("Expected plain values",)),
        ("a: !!binary aGVsbG8=\n", ("Expected plain values",)),
        ("a: !!timestamp 2024-01-01\n", ("Expected plain values",)),
        ("a: !!float x\n", ("could not convert",)),
        ("a: !!int x\n", ("invalid literal",)),
        ("1: x\n", ("line 1, column 1", "expected text as a key", "quotes")),
        ("a: {true: x}\n", ("expected text as a key",)),
        ("? [a, b]\n: x\n", ("expected text as a key",)),
        ("a: .nan\n", ("a: Expected a number; got NaN",)),
        ("a: " + "[" * 500 + "]" * 500, ("more than 32 levels of nesting",)),
        ("a: " + "{b: " * 500 + "}" * 500, ("more than 32 levels of nesting",)),
        ("- a\n- b\n", ("Expected a mapping", "['a', 'b']")),
        ("just text", ("Expected a mapping",)),
        ("", ("Expected a mapping", "None")),
        ("a: 1\n---\nb: 2\n", ("line 2, column 1",)),
        ("a: \x07\n", ("special characters are not allowed",)),
    ],
)
def test_what_is_no_such_yaml_is_refused_with_its_place(file: Path, text: str, parts: tuple[str, ...]) -> None:
    file.write_text(text)
    with refused(ConfigError, *parts):
        read_config(file)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with refused(ConfigError, "Cannot read", "none.yaml", "No such file"):
        read_config(tmp_path / "none.yaml")
    with refused(ConfigError, "Cannot read", "Is a directory"):
        read_config(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("a: ö".encode("latin-1"))
    with refused(ConfigError, "latin.yaml", "no text in UTF-8"):
        read_config(tmp_path / "latin.yaml")
    (tmp_path / "large.yaml").write_bytes(b"#" * (4 * 2**20 + 1))
    with refused(ConfigError, "large.yaml", "at most 4,194,304 bytes"):
        read_config(tmp_path / "large.yaml")


@many
@given(raw=st.binary(max_size=200) | st.text(alphabet="[]{}:-,&*!?|>'\"%@`#\n a1.", max_size=60).map(str.encode))
def test_any_bytes_are_a_configuration_or_a_configerror(file: Path, raw: bytes) -> None:
    file.write_bytes(raw)
    with contextlib.suppress(ConfigError):
        config = read_config(file)
        file.write_text(config_text(config), encoding="utf-8")
        assert alike(read_config(file), config)


def test_only_plain_values_are_written() -> None:
    with refused(ConfigError, "a.b[1]: Expected plain values", "object"):
        config_text({"a": {"b": [1, object()]}})


@pytest.mark.parametrize("content", ["", "- 1", "text"])
def test_a_file_that_holds_no_mapping_is_named(tmp_path, content):
    (tmp_path / "graph.yaml").write_text(content)
    with refused(ConfigError, "mapping", str(tmp_path / "graph.yaml")):
        read_config(tmp_path / "graph.yaml")
