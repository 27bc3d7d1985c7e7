"""The contract of a module: what the core calls, what a module may leave out, what it is told."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, get_args

import torch
from torch import Tensor

from pgmgraph.errors import CapabilityError, DefinitionError, MessageTypeError, suggestion
from pgmgraph.messages import Message, MessageType, RemoteMessage, convertible
from pgmgraph.ports import Node

Guarantee = Literal["exact", "stochastic", "none"]
Terms = Mapping[str, Tensor]
Draws = Mapping[str, Tensor | Mapping[str, Tensor]]
Method = Literal[
    "check_wiring",
    "elbo",
    "event_shapes",
    "learn",
    "learn_batches",
    "load_state_dict",
    "predict",
    "sample",
    "send",
    "start",
    "state_dict",
    "statistics",
    "supports",
    "update",
]

_RESERVED = frozenset({"elbo", "beliefs", "port", "n", "sequences"})


class Outbox:
    """What a module sends: a message for each port, by the port's name.

    Args:
        elbo: the module's own terms of F for these items, where they need more than the beliefs at
            its ports. The module then has no `elbo` method.
        beliefs: q(v) of a variable that the module holds, by port (`x.sound` in a family), where what it sends is
            something else (a sample, say, or less than F needs). F is computed from the belief.
        messages: a message for each port, or a mapping from key to message for a family.
    """

    def __init__(
        self,
        *,
        elbo: Terms | None = None,
        beliefs: Mapping[str, Message] | None = None,
        **messages: Message | Mapping[str, Message],
    ) -> None:
        self.messages = messages
        self.elbo = elbo
        self.beliefs = dict(beliefs or {})


def expected(outbox: Outbox, name: str, module: Node, sends: Mapping[str, MessageType]) -> dict[str, Message]:
    """What a module called `name` has sent for each of the ports that something must leave by (`x.sound` in a family).

    Raises:
        MessageTypeError: a message is lacking, is not of the type that the port declares, or is for no port at all.
    """
    unknown = outbox.messages.keys() - module.ports.keys()
    if unknown:
        raise MessageTypeError(
            f"{name} sent a message for {min(unknown)!r}, which is none of its ports {', '.join(module.ports)}.", name
        )
    return {port: _expect(_message_for(outbox, port), kind, f"{name}.{port}") for port, kind in sends.items()}


def _message_for(outbox: Outbox, port: str) -> Message | Mapping[str, Message] | None:
    family, _, key = port.partition(".")
    sent = outbox.messages.get(family)
    return sent.get(key) if key and isinstance(sent, Mapping) else sent


def _expect(message: Message | Mapping[str, Message] | None, kind: MessageType, port: str) -> Message:
    if isinstance(message, RemoteMessage):
        return message  # looked at where it was sent
    if not isinstance(message, Message) or convertible(type(message), (kind,)) is None:
        what = "nothing" if message is None else type(message).__name__
        raise MessageTypeError(f"Expected {kind.__name__} from {port}, as the port declares; got {what}.", port)
    return message


@dataclass
class Context:
    """What a module is told about its place in the graph; the last six attributes change as it runs.

    Attributes:
        name: the module's name in the graph.
        shapes: the event shape at each wired port (`x`, or `x.sound` in a family) and at each Out port.
        connected: the ports that are wired.
        owned: the Out ports whose prior p(v) is the module's own, because no parent has a factor for it.
        plate_size: the number of items in the data at hand, missing ones left out; at least 1.
        device: where its tensors live.
        dtype: what its messages are cast to.
        seed: the seed that its set-up runs on.
        shards: over how many processes the plate is split. A module that learns by gradients averages them over all
            of these, and takes its share of each minibatch.
        updates: how many updates it has been through.
        round: the number of the current round, from 0, counted over all calls of `fit`.
        progress: call it with (done, total, values) now and then; whoever watches will see it.
    """

    name: str
    shapes: Mapping[str, tuple[int, ...]]
    connected: frozenset[str]
    owned: frozenset[str]
    device: torch.device
    dtype: torch.dtype
    seed: int
    shards: int = 1
    updates: int = 0
    plate_size: int = 0
    round: int = 0
    progress: Callable[[int, int, Mapping[str, float]], None] = field(default=lambda done, total, values: None)


class Module(Node):
    """A probabilistic model that owns some factors of the joint distribution.

    To write one, declare its ports as class attributes and give it the methods that it needs of these.
    Their arguments are named for the ports and passed by name; names are compared when the class is defined.

    - `__init__(...)`: plain parameters, nothing else.
    - `event_shapes(<In ports>)`: the event shapes of the Out ports from those below, asked by `check`;
      it may also state what shape an In port must have.
    - `supports()`, optional: intervals that observed values must lie in, `{"x": (0.0, 1.0)}`.
    - `check_wiring(connected, owned)`, optional, asked by `check`: given the wired ports and the Out ports whose
      prior is the module's own, raise `WiringError` for a wiring that it cannot serve, or return remarks.
    - `setup(context)`, optional: make tensors, once. Call `super().setup(context)` first.
    - `start(batches)`, optional: initialise from data, once, before the first update.
    - `statistics(<ports>)` and `learn(total)`, to learn by sums: the statistics of a minibatch (a tensor,
      or a mapping of tensors), then what follows from their sum over the plate, or, with `step_items`, from a
      part's scaled up to it.
    - `learn_batches(batches)`, to learn by gradients over minibatches.
    - `update(<ports>)`, in the place of both: learn from the whole plate at once, and send.
    - `send(<ports>)`: an `Outbox` with the messages of a minibatch, pure given the parameters. The one
      method that every module has.
    - `elbo(<ports>)`: own terms of F under the beliefs at the ports; shape (n,) where a term is a sum
      over items, shape () where it is global.
    - `predict(port, <Out ports>)`, optional: the message to an observation: its mean as a `Point`, or a belief.
    - `sample(n, <Out ports>)`, optional: draw n rows; first the Out variables that are None, from the
      module's own prior, then the In variables given them. Returns all by port, a family's by key. With a further
      argument `temperature=1.0` it can be asked to draw from every p in the form p^(1/temperature), normalised; 0 is
      the mode. A module that draws nothing, since its In variables follow from its Out variables, takes it as well.
    - `state_dict()` and `load_state_dict(state)`: whatever learning changes, as tensors and plain values.

    Attributes:
        guarantee: "exact" (an update never lowers F), "stochastic" (raises it in expectation), "none".
        passes: how many times an update runs over the statistics.
        step_items: on how many items each call of `learn` is taken, drawn in random order, their statistics scaled
            up to the plate: a pass takes as many steps as cover it, all of one size, so that a rest too small for
            one is left out of the pass. None, or a number as large as the plate: all items, one step a pass.
        at_once: the most items that `statistics`, `send` and `elbo` are given at a time; None for all.
        amortised: whether `send` ignores what comes from above, as an encoder does.
        candid: whether `send` tells the very belief of each variable that it holds. Where it tells something else, and
            the belief by `Outbox(beliefs=...)`, what a parent learns from it may lower F by no fault of the parent's.
        averages: whether `learn_batches` averages gradients over all parts of a plate that is split (`Context.shards`):
            only then the plate of a module that learns by gradients can be.
        elbo_items: on how many items of the plate `elbo` is evaluated and scaled up; None for all.
        sequential: whether it looks along time. `statistics`, `send`, `elbo` and `update` then take an argument
            `sequences` as well, (S,) int64: how many of the rows belong to each sequence, which come whole, one after
            another. Rows that are missing are not left out, but flagged.
        dtype: what the messages it receives are cast to.
        context: see `Context`; set by `setup`.
        arguments: what the constructor was called with.
        recipe: the plain values that a configuration made it from; None where it was made in Python.

    Raises:
        DefinitionError: a subclass does not keep this contract.
    """

    guarantee: Guarantee = "none"
    passes: int = 1
    step_items: int | None = None
    at_once: int | None = 65_536
    amortised: bool = False
    candid: bool = True
    averages: bool = False
    elbo_items: int | None = None
    sequential: bool = False
    dtype: torch.dtype = torch.float32

    context: Context
    arguments: Mapping[str, object]
    recipe: Mapping[str, object] | None = None

    _signatures: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.ports:
            _check_definition(cls)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # Any: whatever the subclass's own __init__ takes
        """Record the constructor's arguments."""
        module = super().__new__(cls)
        try:
            bound = inspect.signature(cls.__init__).bind(module, *args, **kwargs)
        except TypeError:
            return module  # Python's own error, a moment later, names the class and the argument
        module.arguments = dict(list(bound.arguments.items())[1:])
        return module

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.arguments.items())})"

    def setup(self, context: Context) -> None:
        """Take the context and make the module's tensors; called once, before anything else."""
        self.context = context


def method(module: Module, name: Method, wanted_for: str) -> Callable[..., Any]:
    """The optional method `name` of a module.

    Any: the arguments are the module's own ports, compared with them when the class was defined.

    Raises:
        CapabilityError: the module has no such method.
    """
    found: Callable[..., Any] | None = getattr(module, name, None)
    if found is None:
        label = module.context.name if hasattr(module, "context") else type(module).__name__
        raise CapabilityError(
            f"Expected {label} ({type(module).__name__}) to have a method {name!r}, {wanted_for}; it has none. "
            f"Write {type(module).__name__}.{name} as `Module` describes it.",
            label,
            name,
        )
    return found


def has(module: Module, name: Method) -> bool:
    """Whether the module has the optional method `name`."""
    return hasattr(module, name)


def learns(module: Module) -> bool:
    """Whether the module has parameters to learn, or only sends."""
    return any(has(module, name) for name in ("statistics", "learn_batches", "update"))


def check_temperature(module: Module) -> None:
    """Raise CapabilityError unless the module's `sample` takes a temperature."""
    parameters = inspect.signature(method(module, "sample", "to draw what lies below it")).parameters
    if "temperature" not in parameters or "temperature" in dict(module.outs()):
        name, kind = module.context.name, type(module).__name__
        raise CapabilityError(
            f"Expected {name} ({kind}) to draw at a temperature; its `sample` takes none. "
            f"Give {kind}.sample an argument `temperature=1.0`, as `Module` describes it, or use temperature=1.",
            name,
            "sample",
        )


def _check_definition(cls: type[Module]) -> None:
    reserved = _RESERVED & cls.ports.keys()
    if reserved:
        raise DefinitionError(f"{cls.__name__}: a port cannot be called {min(reserved)!r}; choose another name.", cls)
    if not hasattr(cls, "send") and not hasattr(cls, "update"):
        raise DefinitionError(
            f"{cls.__name__} has no method `send`. Write `def send(self, {', '.join(cls.ports)}) -> Outbox`.", cls
        )
    if hasattr(cls, "statistics") != hasattr(cls, "learn"):
        raise DefinitionError(f"{cls.__name__} has one of `statistics` and `learn`; a module has both or neither.", cls)
    if sum(hasattr(cls, name) for name in ("statistics", "learn_batches", "update")) > 1:
        raise DefinitionError(
            f"{cls.__name__} learns in several ways; keep one of `statistics` with `learn`, `learn_batches`, `update`.",
            cls,
        )
    if any(hasattr(cls, name) for name in ("statistics", "learn_batches", "update")) and not (
        hasattr(cls, "state_dict") and hasattr(cls, "load_state_dict")
    ):
        raise DefinitionError(
            f"{cls.__name__} learns, and so needs `state_dict` and `load_state_dict`: "
            "a failed update is undone by them.",
            cls,
        )
    guarantee = vars(cls).get("guarantee")
    if isinstance(guarantee, str) and guarantee not in get_args(Guarantee):
        raise DefinitionError(
            f"Expected {cls.__name__}.guarantee as one of {', '.join(get_args(Guarantee))}; got {guarantee!r}.", cls
        )
    _check_spelling(cls)
    ins, outs = {name for name, _ in cls.ins()}, {name for name, _ in cls.outs()}
    both = ins | outs | ({"sequences"} if cls.sequential else set())
    for name, expected in {
        "event_shapes": ins,
        "statistics": both,
        "send": both,
        "elbo": both,
        "update": both,
        "predict": {"port"} | outs,
        "sample": {"n"} | outs,
    }.items():
        if hasattr(cls, name):
            _check_arguments(cls, name, expected, {"temperature"} if name == "sample" else set())


def _check_spelling(cls: type[Module]) -> None:
    """Refuse a method that is none of the contract but nearly one: it would never be called."""
    contract = get_args(Method)
    for name, value in vars(cls).items():
        if callable(value) and name not in contract and not name.startswith("_"):
            near = difflib.get_close_matches(name, contract, n=1, cutoff=0.9)
            if near:
                raise DefinitionError(f"{cls.__name__} has a method {name!r}. Did you mean {near[0]!r}?", cls)


def _check_arguments(cls: type[Module], name: str, expected: set[str], optional: set[str]) -> None:
    parameters = list(inspect.signature(getattr(cls, name)).parameters.values())[1:]
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return
    got = [parameter.name for parameter in parameters]
    if not expected <= set(got) <= expected | optional:
        strange = next((argument for argument in got if argument not in expected | optional), "")
        raise DefinitionError(
            f"Expected {cls.__name__}.{name} to take ({', '.join(sorted(expected))}), after its ports; "
            f"got ({', '.join(got)}).{suggestion(strange, expected)}",
            cls,
        )
