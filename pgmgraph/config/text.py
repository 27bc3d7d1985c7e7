"""YAML: a configuration as text, read and written without loss."""

from __future__ import annotations

import io
import re
from collections.abc import Hashable
from pathlib import Path
from typing import NoReturn

import yaml

from pgmgraph.config.plain import DEEPEST, Plain, as_config
from pgmgraph.config.problems import shown
from pgmgraph.errors import ConfigError

_MOST_BYTES = 4 * 2**20
_SHORT = 90
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9]{0,29})$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)


def read_config(path: str | Path) -> dict[str, Plain]:
    """A configuration from a YAML file.

    Of YAML it takes plain values in the sense of version 1.2, so that 1e-3 is a number, and `no` and `12:30` are text.
    Tags that would make other objects, anchors and aliases, and a key that is written twice are refused.

    Raises:
        ConfigError: the file cannot be read, or is no such YAML; line and column are named.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except (OSError, ValueError) as error:  # a ValueError: the bytes are no UTF-8, or the name no name of a file
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise ConfigError(f"Cannot read the configuration {path}: {reason}.") from error
    if len(raw) > _MOST_BYTES:
        raise ConfigError(f"Expected a configuration of at most {_MOST_BYTES:,} bytes; {path} is larger.")
    found = parsed(text, str(path))
    if not isinstance(found, dict):
        raise ConfigError(f"Expected a mapping in {path}; got {shown(found)}.")
    return as_config(found)


def config_text(config: object) -> str:
    """A configuration as YAML, which `read_config` reads back to the same values, to the last bit.

    Raises:
        ConfigError: it does not consist of plain values.
    """
    stream = io.StringIO()
    dumper = _Dumper(stream, default_flow_style=None, width=120, allow_unicode=True, sort_keys=False)
    node = dumper.represent_data(as_config(config))
    _lay_out(node)
    if isinstance(node, yaml.CollectionNode):
        node.flow_style = not node.value
    dumper.open()
    dumper.serialize(node)
    dumper.close()
    return stream.getvalue()


def _lay_out(node: yaml.Node) -> int:
    """Put mappings that fit into a line in braces, and lists in brackets; returns about how long a node is."""
    if isinstance(node, yaml.SequenceNode):
        node.flow_style = True
        return sum(_lay_out(one) + 2 for one in node.value) + 2
    if isinstance(node, yaml.MappingNode):
        length = sum(_lay_out(key) + _lay_out(value) + 4 for key, value in node.value)
        node.flow_style = length <= _SHORT
        return length
    return len(node.value)


def parsed(text: str, name: str) -> object:
    """What a YAML text says; `name` is for error messages.

    Raises:
        ConfigError: it is no YAML that `read_config` takes.
    """
    try:
        loader = _Loader(text)
        loader.name = name
        try:
            found: object = loader.get_single_data()
            return found
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = name if mark is None else f"{name}, line {mark.line + 1}, column {mark.column + 1}"
        raise ConfigError(f"{where}: {error.problem or error.context}.") from error
    except yaml.reader.ReaderError as error:
        raise ConfigError(f"{name}: {error.reason} at character {error.position + 1}.") from error
    except ValueError as error:  # a constructor's own, as of `!!float x`
        raise ConfigError(f"{name}: {error}.") from error


class _Refused(yaml.MarkedYAMLError):
    """YAML that is sound, and is not taken here."""

    def __init__(self, problem: str, mark: object) -> None:
        super().__init__(problem=problem)
        self.problem_mark = mark  # type: ignore[assignment]  # its stubs know the Mark of one of two parsers


class _Loader(yaml.SafeLoader):
    """Plain values alone, each written once, to a depth that can be walked."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  # as its base has it

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """One node; YAML's recursion goes through here."""
        if self.check_event(yaml.AliasEvent):
            self._refuse("an alias is not taken here; write the value out")
        if self._depth > DEEPEST:
            self._refuse(f"more than {DEEPEST} levels of nesting")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def _refuse(self, problem: str) -> NoReturn:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]  # lacking in its stubs
        raise _Refused(problem, event.start_mark)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        """A mapping whose keys are text and differ."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                problem = "expected text as a key; put it in quotes"
                raise _Refused(problem, key.start_mark)
            if key.value in seen:
                problem = f"the key {key.value!r} is there twice"
                raise _Refused(problem, key.start_mark)
            seen.add(key.value)
        found: dict[Hashable, object] = super().construct_mapping(node, deep)
        return found


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # Line breaks of Unicode, which the emitter would fold in any other style.
    style = '"' if any(character in text for character in "\n\r\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


class _Dumper(yaml.SafeDumper):
    """Writes in full what is there twice, and in quotes what version 1.1 or 1.2 would take for more than text."""

    yaml_implicit_resolvers = {  # noqa: RUF012  # as its base has it
        first: list(resolvers) for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: object) -> bool:
        """True: no anchors."""
        return True


for _tag, _pattern, _first in (
    ("null", _NULL, ["~", "n", "N", ""]),
    ("bool", _BOOL, list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, _first)
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, _first)
_Dumper.add_representer(str, _represent_text)
