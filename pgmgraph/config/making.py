"""Plain values, made into the objects that they stand for."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pgmgraph.config.arguments import conform, hints_of, required, signature_of
from pgmgraph.config.plain import Plain, joined
from pgmgraph.config.problems import Problems, foreign, shown
from pgmgraph.config.targets import resolve
from pgmgraph.config.writing import CALL, FORMS, IMPORT, OBJECT, PARTIAL, written
from pgmgraph.errors import ConfigError, suggestion


@dataclass(frozen=True)
class Made:
    """An object, and the plain values that make it again.

    Attributes:
        live: the object.
        plain: its normal form, numbers as numbers.
        named: whether targets went into it, so that only `plain` can tell how it was made.
    """

    live: object
    plain: Plain
    named: bool


@dataclass(frozen=True)
class Maker:
    """Makes objects, and notes what is wrong with all of them.

    Attributes:
        problems: where that is noted; what could not be made is None.
        folders: where files and modules of the user's own are looked for, besides the current folder.
    """

    problems: Problems
    folders: Sequence[Path] = ()

    def value(self, plain: Plain, path: str) -> Made | None:
        """What a plain value stands for."""
        match plain:
            case dict() if any(form in plain for form in FORMS):
                return self._form(plain, path)
            case dict():
                members = {key: self.value(one, joined(path, key)) for key, one in plain.items()}
                whole = {key: made for key, made in members.items() if made is not None}
                if len(whole) < len(plain):
                    return None
                live: object = {key: made.live for key, made in whole.items()}
                return Made(live, {k: m.plain for k, m in whole.items()}, any(m.named for m in whole.values()))
            case list():
                items = [self.value(one, joined(path, place)) for place, one in enumerate(plain)]
                there = [made for made in items if made is not None]
                if len(there) < len(plain):
                    return None
                return Made([m.live for m in there], [m.plain for m in there], any(m.named for m in there))
            case _:
                return Made(plain, plain, named=False)

    def call(
        self, target: Callable[..., object], label: str, given: Mapping[str, Plain], path: str, *, partial: bool = False
    ) -> tuple[object, dict[str, Plain]] | None:
        """What a callable returns for plain arguments, and their normal form.

        Args:
            target: what to call.
            label: its name, for error messages.
            given: its arguments by name; those of `*names` as a list under that name.
            path: where they stand.
            partial: not to call it yet, and so not to ask for what is required.
        """
        before = len(self.problems)
        signature = signature_of(target)
        known = {} if signature is None else dict(signature.parameters)
        hints = hints_of(target)
        live: dict[str, object] = {}
        normal: dict[str, Plain] = {}
        for name, plain in given.items():
            here = joined(path, name)
            parameter = known.get(name)
            if parameter is None and signature is not None and not _takes_any(known):
                takes = ", ".join(known) or "no arguments"
                self.problems.add(here, f"{label} takes no {name!r}.{suggestion(name, known)} It takes: {takes}.")
                continue
            made = self.value(plain, here)
            if made is None:
                continue
            with self.problems.noted(here):
                hint = _hint(hints, parameter, known)
                live[name] = made.live if hint is None else conform(made.live, hint)
                normal[name] = made.plain if made.named else written(live[name])
        missing = [] if partial else [name for name, one in known.items() if required(one) and name not in given]
        for name in missing:
            self.problems.add(joined(path, name), f"{label} needs it; it is not given.")
        if len(self.problems) > before:
            return None
        try:
            with foreign(label):
                if partial:
                    return functools.partial(target, **live), normal
                positional, named = _bound(signature, live)
                return target(*positional, **named), normal
        except ConfigError as error:
            self.problems.add(_place(path, str(error), given, known), str(error))
            return None

    def target(self, name: Plain, path: str) -> tuple[object] | None:
        """The object of a target, in a tuple, since it may be None itself."""
        if not isinstance(name, str):
            self.problems.add(path, f"Expected 'package.module:name' or 'file.py:name'; got {shown(name)}.")
            return None
        with self.problems.noted(path):
            return (resolve(name, self.folders),)
        return None

    def _form(self, plain: Mapping[str, Plain], path: str) -> Made | None:
        found = [form for form in FORMS if form in plain]
        if len(found) > 1:
            self.problems.add(path, f"Expected one of {', '.join(found)}; got {len(found)} of them.")
            return None
        [form] = found
        if form == OBJECT:
            self.problems.add(
                path,
                f"Expected what can be made; got an object that only its program has, {shown(plain[OBJECT])}. "
                "Give the graph from Python, or let a function make the object: {call: 'package.module:function'}.",
            )
            return None
        target = self.target(plain[form], joined(path, form))
        if target is None:
            return None
        arguments = {name: one for name, one in plain.items() if name != form}
        if form == IMPORT:
            if arguments:
                advice = f"To call it with arguments, write {CALL} in its place, or {PARTIAL} to have it called later."
                self.problems.add(path, f"Expected {IMPORT} alone; got {', '.join(arguments)} as well. {advice}")
                return None
            return Made(target[0], dict(plain), named=True)
        [source] = target
        if not callable(source):
            self.problems.add(joined(path, form), f"Expected what can be called; {plain[form]} is {shown(source)}.")
            return None
        made = self.call(source, str(plain[form]), arguments, path, partial=form == PARTIAL)
        return None if made is None else Made(made[0], {form: plain[form], **made[1]}, named=True)


def _takes_any(known: Mapping[str, inspect.Parameter]) -> bool:
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in known.values())


def _hint(
    hints: Mapping[str, object], parameter: inspect.Parameter | None, known: Mapping[str, inspect.Parameter]
) -> object | None:
    """The type of an argument, None where nothing is stated."""
    if parameter is None:
        any_name = next((n for n, one in known.items() if one.kind is inspect.Parameter.VAR_KEYWORD), "")
        return hints.get(any_name)
    found = hints.get(parameter.name)
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        return list if found is None else list[found]  # type: ignore[valid-type]  # known at run time alone
    return found


def _bound(
    signature: inspect.Signature | None, live: Mapping[str, object]
) -> tuple[tuple[object, ...], dict[str, object]]:
    """Arguments by name as a callable takes them."""
    if signature is None:
        return (), dict(live)
    known = signature.parameters
    arguments = {name: value for name, value in live.items() if name in known}
    others = {name: value for name, value in live.items() if name not in known}
    for name, parameter in known.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            arguments[name] = {**others, **({name: arguments[name]} if name in arguments else {})}
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL and name in arguments:
            given = arguments[name]
            assert isinstance(given, list)
            arguments[name] = tuple(given)
    bound = inspect.BoundArguments(signature, arguments)
    return bound.args, bound.kwargs


def _place(path: str, text: str, given: Mapping[str, Plain], known: Mapping[str, inspect.Parameter]) -> str:
    """The argument that a refusal speaks of: the first that it names, of those given if it names one."""
    for names in (given, known):
        found = {name: match.start() for name in names if (match := re.search(rf"\b{re.escape(name)}\b", text))}
        if found:
            return joined(path, min(found, key=found.__getitem__))
    return path
