"""Single values of a configuration, changed by name: `vae.latent_dim=16`."""

from __future__ import annotations

from collections.abc import Iterable

from pgmgraph.config.plain import Plain, as_config
from pgmgraph.config.problems import Problems, shown
from pgmgraph.config.text import parsed
from pgmgraph.errors import ConfigError, suggestion

SECTIONS = ("observations", "modules", "wires")


def override(config: object, settings: Iterable[str]) -> dict[str, Plain]:
    """A copy of a configuration with some of its values changed.

    Args:
        config: plain values, as `to_config` or `read_config` gives them.
        settings: each `place=value`. The place is an argument of a module or observation (`vae.latent_dim`), a value
            inside one (`vae.kl_weight.rounds`, `vae.hidden.0`), or starts with a section
            (`wires.gmm.x.backward`, `modules.vae.lr`). The value is YAML: `16`, `1e-3`, `[500, 500]`, `null`.

    Raises:
        ConfigError: a setting names no place, or its value is no YAML; all of them are told at once.

    Example:
        >>> override({"modules": {"gmm": {"module": "gmm", "components": 10}}}, ["gmm.components=3"])
        {'modules': {'gmm': {'module': 'gmm', 'components': 3}}}
    """
    changed = as_config(config)
    problems = Problems()
    for setting in settings:
        place, equals, text = setting.partition("=")
        if not equals or not place.strip():
            problems.add(setting, "Expected place=value, such as vae.latent_dim=16.")
            continue
        with problems.noted(setting):
            _put(changed, place.strip(), _value(text))
    problems.refuse()
    return changed


def _value(text: str) -> Plain:
    return as_config({"value": parsed(text, "the value")})["value"]


def _put(config: dict[str, Plain], place: str, value: Plain) -> None:
    keys = place.split(".")
    if len(keys) > 1 and keys[0] in SECTIONS and isinstance(config.get(keys[0]), dict):
        section, keys = keys[0], keys[1:]
    else:
        section = _section(config, keys[0])
    inside = config[section]
    assert isinstance(inside, dict)
    if section == "wires":
        keys = _wire(inside, keys)
    node: Plain = inside
    for depth, key in enumerate(keys[:-1], start=1):
        below = _member(node, key, ".".join(keys[:depth]))
        if section == "wires" and depth == 1 and isinstance(below, str):
            below = inside[key] = {"from": below}
        elif below is None and section == "observations" and depth == 1:
            below = inside[key] = {}
        node = below
    last = keys[-1]
    if isinstance(node, dict):
        node[last] = value
    elif isinstance(node, list):
        _member(node, last, place)
        node[int(last)] = value
    else:
        raise ConfigError(f"Expected a place inside a mapping or list; {'.'.join(keys[:-1])} is {shown(node)}.")


def _section(config: dict[str, Plain], name: str) -> str:
    """The section that a bare name of a module or observation is in."""
    known: list[str] = []
    for section in ("modules", "observations"):
        entries = config.get(section)
        if isinstance(entries, dict):
            if name in entries:
                return section
            known += entries
    raise ConfigError(
        f"No module or observation named {name!r} is there.{suggestion(name, known)} "
        f"There are: {', '.join(known) or 'none'}."
    )


def _wire(wires: dict[str, Plain], keys: list[str]) -> list[str]:
    """The keys with those of the wire's target joined, since `gmm.x` is one key there."""
    for end in (3, 2):
        target = ".".join(keys[:end])
        if len(keys) >= end and target in wires:
            return [target, *keys[end:]]
    raise ConfigError(f"No wire ends there. There are wires to: {', '.join(wires) or 'nothing'}.")


def _member(node: Plain, key: str, place: str) -> Plain:
    if isinstance(node, dict) and key in node:
        return node[key]
    if isinstance(node, list) and key.isdecimal() and len(key) < 10 and int(key) < len(node):
        return node[int(key)]
    near = suggestion(key, node) if isinstance(node, dict) else ""
    raise ConfigError(f"Nothing is at {place}.{near}")
