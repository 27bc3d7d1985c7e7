"""Arguments: what a callable takes, by its signature, and whether a value is of the type that it asks for."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BeforeValidator, ConfigDict, PlainValidator, Strict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from pgmgraph.config.problems import shown
from pgmgraph.errors import ConfigError, suggestion
from pgmgraph.module import Module

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def signature_of(target: Callable[..., object]) -> inspect.Signature | None:
    """What a callable takes; None for those in C that do not tell."""
    if isinstance(target, type) and issubclass(target, Module):
        # Module.__new__ takes anything, and so does object.__init__ beside it: neither says what the class takes.
        init: Callable[..., None] = target.__init__
        if init is object.__init__:
            return inspect.Signature()
        _, *own = inspect.signature(init).parameters.values()
        return inspect.Signature(own)
    try:
        return inspect.signature(target)
    except (TypeError, ValueError):
        return None


def required(parameter: inspect.Parameter) -> bool:
    """Whether an argument must be given."""
    return parameter.default is inspect.Parameter.empty and parameter.kind not in _VARIADIC


def hints_of(target: Callable[..., object]) -> Mapping[str, object]:
    """The types that a callable's arguments must have, as far as they can be known outside of its source."""
    source: object = target
    if isinstance(target, type):
        own = inspect.getattr_static(target, "__init__")
        source = target.__new__ if own is object.__init__ else own
    elif not hasattr(target, "__annotations__"):
        source = type(target).__call__
    try:
        return typing.get_type_hints(source, include_extras=True)
    # Names that the source imports for type checkers alone, or annotations that are no types.
    except (AttributeError, NameError, SyntaxError, TypeError):
        return {}


def conform(value: object, hint: object) -> object:
    """The value as the type that is asked for: text that is a number as a number, a list as a tuple.

    Raises:
        ConfigError: it is of another type.
    """
    try:
        adapter: TypeAdapter[object] = TypeAdapter(_checkable(hint), config=ConfigDict(arbitrary_types_allowed=True))
    except (PydanticUserError, TypeError):
        return value  # a type beyond pydantic: the constructor is left to judge
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        near = suggestion(value, _choices(hint)) if isinstance(value, str) else ""
        raise ConfigError(f"Expected {_in_words(hint)}; got {shown(value)}.{near}") from error


def _choices(hint: object) -> list[str]:
    """The texts that a hint allows by name."""
    if get_origin(hint) is Literal:
        return [choice for choice in get_args(hint) if isinstance(choice, str)]
    return [choice for inner in get_args(hint) for choice in _choices(inner)]


def _no_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a truth value is no number")
    return value


# Python counts its truth values among the integers, and pydantic reads "yes" and 1 as true.
_EXACT: Mapping[object, object] = {
    int: Annotated[int, BeforeValidator(_no_bool)],
    float: Annotated[float, BeforeValidator(_no_bool)],
    bool: Annotated[bool, Strict()],
    str: str,
    Path: Path,
    None: None,
    type(None): None,
    Any: Any,
    object: Any,
}
# Those that pydantic would hand on as a generator, or not at all, become the nearest that it checks at once.
_CONTAINERS: Mapping[object, Any] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    dict: dict,
    collections.abc.Mapping: collections.abc.Mapping,
    collections.abc.Sequence: collections.abc.Sequence,
    collections.abc.Collection: collections.abc.Sequence,
    collections.abc.Iterable: collections.abc.Sequence,
}


def _checkable(hint: object) -> Any:  # noqa: ANN401  # a type form, for which typing has no type yet
    """A hint in pydantic's terms; Any in the places that only the constructor can judge."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint in _EXACT:
        return _EXACT[hint]
    if origin in (Union, types.UnionType):
        return Union[tuple(_checkable(one) for one in inner)]  # noqa: UP007  # made of what is known at run time alone
    if origin is Literal:
        return hint
    if origin is Annotated:
        return Annotated[(_checkable(inner[0]), *inner[1:])]
    if origin in _CONTAINERS:
        return _CONTAINERS[origin][tuple(one if one is ... else _checkable(one) for one in inner)]
    if hint in _CONTAINERS:
        return _CONTAINERS[hint]
    if collections.abc.Callable in (hint, origin):
        return Callable
    kind = origin or hint
    if not isinstance(kind, type) or getattr(kind, "_is_protocol", False) or typing.is_typeddict(kind):
        return Any
    return kind if issubclass(kind, Enum) else Annotated[Any, PlainValidator(_instance_of(kind))]


def _instance_of(kind: type) -> Callable[[object], object]:
    # Pydantic would make a dataclass of a mapping, and drop the keys that it does not know.
    def check(value: object) -> object:
        if not isinstance(value, kind):
            raise ValueError(f"no {kind.__name__}")
        return value

    return check


_WORDS: Mapping[object, str] = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "null",
}
_PLURAL: Mapping[object, str] = {int: "integers", float: "numbers", str: "texts"}


def _in_words(hint: object) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if hint in _WORDS:
        return _WORDS[hint]
    if origin in (Union, types.UnionType):
        return " or ".join(_in_words(one) for one in inner)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin in _CONTAINERS and issubclass(_CONTAINERS[origin], collections.abc.Sequence) and inner:
        return f"a list of {_PLURAL.get(inner[0], f'({_in_words(inner[0])})')}"
    return getattr(hint, "__name__", str(hint)) if origin is None else str(hint).replace("typing.", "")
