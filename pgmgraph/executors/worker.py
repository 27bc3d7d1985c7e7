"""What happens beside a module: one call of it, over the minibatches of its mail."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice

import torch
from torch import Tensor

from pgmgraph.errors import CapabilityError, DataError, DefinitionError, DivergedError, MessageError
from pgmgraph.executors.assembly import Assembly, Growing, TermsAssembly, growing
from pgmgraph.executors.base import Call, ModuleState, OwnTerms, Updated
from pgmgraph.executors.past import Past, Statistics, added, kind, scaled
from pgmgraph.executors.spill import Spill
from pgmgraph.messages import Message
from pgmgraph.module import Context, Draws, Module, Outbox, Terms, check_temperature, has, learns, method
from pgmgraph.plates import Batches
from pgmgraph.randomness import seeded


def set_up(module: Module, context: Context) -> None:
    """Let the module make its tensors, on the context's seed; one that fails is not set up.

    Raises:
        DefinitionError: its `setup` does not call that of `Module`.
    """
    try:
        with seeded(context.seed, context.device):
            module.setup(context)
    except BaseException:
        vars(module).pop("context", None)  # so that the next fit tries again
        raise
    if not hasattr(module, "context"):
        raise DefinitionError(
            f"{type(module).__name__}.setup does not call super().setup(context). Call it first.", type(module)
        )


def update(module: Module, call: Call, spill: Spill | None = None) -> Updated:
    """Start the module if it never learnt, let it learn, and send; on any failure undo all of it.

    A frozen module only sends. `spill` says which messages lie on the disk, here as below.
    """
    batches = _batches(module, call)
    learning = call.learn and learns(module)
    before = _copied(method(module, "state_dict", "to undo by")()) if learning else None
    begin = time.perf_counter()
    try:
        with seeded(call.seed, module.context.device):
            outbox, total = (
                _learn_and_send(module, batches, call.past, spill)
                if learning
                else (_send(module, batches, spill), None)
            )
        _check_outbox(module, outbox)
    except BaseException:
        if before is not None:
            method(module, "load_state_dict", "to undo by")(before)
        raise
    module.context.updates += learning
    terms = None if outbox.elbo is None else _own_terms(module, batches, outbox.elbo, batches.size, call.shard)
    # F is of the items at hand, and what is learnt from others too may lower it.
    old = learning and call.past is not None and call.past.counts and has(module, "statistics")
    guarantee = "none" if old else module.guarantee
    return Updated(outbox, time.perf_counter() - begin, guarantee, terms, total)


def start(module: Module, call: Call) -> None:
    """Start the module from data, if it never learnt and begins so."""
    if module.context.updates or not has(module, "start"):
        return
    with seeded(call.seed, module.context.device):
        method(module, "start", "which it has")(_batches(module, call))


def part(module: Module, call: Call) -> Batches:
    """The call's part of the plate, for all passes of an update: what was laid out in one serves the next."""
    return _batches(module, call)


def statistics(module: Module, call: Call, batches: Batches) -> Statistics | None:
    """What one pass over a part of the plate adds to what the module learns from; None where it has no items."""
    if batches.size == 0:
        return None
    with seeded(call.seed, module.context.device), torch.no_grad():
        [total] = _totals(module, batches)
    return total


def learn(module: Module, call: Call, parts: Sequence[Statistics | None]) -> None:
    """Learn from the statistics of all parts of the plate; a part without items adds nothing."""
    known = [one for one in parts if one is not None]
    if not known:
        raise _nothing_to_learn_from(module)
    with seeded(call.seed, module.context.device), torch.no_grad():
        method(module, "learn", "which it has")(_total(known))


def answer(module: Module, call: Call) -> Updated:
    """Send, and say how the module is, after it has learnt from all parts of the plate."""
    begin = time.perf_counter()
    batches = _batches(module, call)
    outbox = send(module, call)
    module.context.updates += 1
    terms = None if outbox.elbo is None else _own_terms(module, batches, outbox.elbo, batches.size, call.shard)
    return Updated(outbox, time.perf_counter() - begin, module.guarantee, terms)


def send(module: Module, call: Call, spill: Spill | None = None) -> Outbox:
    """The module's messages, with its parameters as they are."""
    batches = _batches(module, call)
    with seeded(call.seed, module.context.device):
        outbox = _send(module, batches, spill)
    _check_outbox(module, outbox)
    return outbox


def save(module: Module) -> ModuleState:
    """A copy of what the module has learnt."""
    values = _copied(method(module, "state_dict", "to be saved")()) if learns(module) else None
    assert values is None or isinstance(values, dict)
    return ModuleState(values, module.context.updates)


def load(module: Module, state: ModuleState) -> None:
    """Put the module back to what it had learnt; the state stays whole, and can be loaded again."""
    if state.values is not None:
        method(module, "load_state_dict", "to be loaded")(_copied(state.values))
    module.context.updates = state.updates


def evaluate(module: Module, call: Call, spill: Spill | None = None) -> OwnTerms | None:
    """The module's own terms of F under the beliefs in the call's mail."""
    if not has(module, "elbo"):
        return None if learns(module) else OwnTerms({}, 0.0, exact=True)
    batches = _batches(module, call)
    part = batches
    if module.elbo_items is not None:
        part = batches.subset(module.elbo_items, torch.Generator().manual_seed(call.seed))
    with seeded(call.seed, module.context.device), torch.no_grad():
        elbo = method(module, "elbo", "for F")
        if batches.size == 0:
            # For the terms that belong to no item, and the names of the others.
            of_none = _none_of(_as_terms(module, elbo(**batches.placeholder()), 1))
            return _own_terms(module, batches, of_none, 0, call.shard)
        terms, done = TermsAssembly(part.size, spill), 0
        for batch in part.in_order(module.at_once):
            n = min(part.size - done, part.rows_in(batch, module.at_once))
            terms.add(_as_terms(module, elbo(**batch), n), n)
            done += n
    return _own_terms(module, batches, terms.whole(), part.size, call.shard)


def predict(module: Module, call: Call, port: str, spill: Spill | None = None) -> Message:
    """The module's message to the observation at `port`, for every item."""
    function = method(module, "predict", f"to predict {port!r}")
    batches = _batches(module, call)
    outs = [name for name, _ in module.outs()]
    with seeded(call.seed, module.context.device), torch.no_grad():
        given = [batches.placeholder()] if batches.size == 0 else batches.in_order(module.at_once)
        whole: Growing | None = None
        for batch in given:
            sent: Message = function(port=port, **{name: batch[name] for name in outs})
            piece = sent[: batches.size]
            whole = whole or growing(piece, batches, spill)
            whole.add(piece)
    assert whole is not None
    return whole.whole()


def sample(module: Module, call: Call, n: int, values: Mapping[str, Tensor | None], temperature: float = 1.0) -> Draws:
    """Rows drawn from the module at a temperature, given values of its Out variables."""
    function = method(module, "sample", "to draw what lies below it")
    device = module.context.device
    given = {name: value if value is None else value.to(device) for name, value in values.items()}
    if temperature != 1:
        check_temperature(module)
        function = partial(function, temperature=temperature)
    with seeded(call.seed, device), torch.no_grad():
        drawn: Draws = function(n=n, **given)
    return drawn


def _batches(module: Module, call: Call) -> Batches:
    context = module.context
    explained = frozenset(name for name, _ in module.ins())
    batches = Batches(call.mail, explained, context.device, module.dtype, module.sequential, call.lengths)
    context.round, context.plate_size = call.round, max(1, batches.size) * context.shards  # of about one size
    return batches


def _nothing_to_learn_from(module: Module) -> DataError:
    return DataError(f"Expected items for {module.context.name} to learn from; every row below it is missing.")


def _copied(state: object) -> object:
    """A copy of a module's state; `copy.deepcopy` takes twice as long over tensors."""
    match state:
        case Tensor():
            return state.detach().clone()
        case dict():
            # What a dictionary carries beside its entries, as that of an nn.Module does, is kept.
            copied = copy.copy(state)
            copied.update({key: _copied(value) for key, value in state.items()})
            return copied
        case list():
            return [_copied(value) for value in state]
        case _:
            return copy.deepcopy(state)


def _learn_and_send(
    module: Module, batches: Batches, past: Past | None, spill: Spill | None
) -> tuple[Outbox, Statistics | None]:
    """What the module sends after it has learnt; and over a stream, what it learnt of the new items."""
    if batches.size == 0 and module.context.shards == 1:
        raise _nothing_to_learn_from(module)
    if module.context.updates == 0 and has(module, "start") and module.context.shards == 1:  # parts start together
        method(module, "start", "which it has")(batches)
    if has(module, "update"):
        outbox = method(module, "update", "which it has")(**next(batches.in_order()))
        return _assembled(_checked(module, "update", outbox, batches.size), batches, spill), None
    total: Statistics | None = None
    if has(module, "learn_batches"):
        method(module, "learn_batches", "which it has")(batches)
    elif has(module, "statistics"):
        learn = method(module, "learn", "which it has")
        with torch.no_grad():
            if past is not None:
                total = _learn_of_stream(module, batches, past)
            else:
                for _ in range(module.passes):
                    for each in _totals(module, batches):
                        learn(each)
    return _send(module, batches, spill), total


def _learn_of_stream(module: Module, batches: Batches, past: Past) -> Statistics:
    """Learn from the sums of the new items and of the past; those of the new ones, as they were last learnt from."""
    learn, statistics = (method(module, name, "which it has") for name in ("learn", "statistics"))
    new, old = batches.parted(past.replayed)
    earlier, expected = past.sums, past.sums
    present: list[Statistics] = []
    for _ in range(module.passes):
        if old is not None and past.weight:
            again = _total(statistics(**batch) for batch in old.in_order(module.at_once))
            earlier = added(scaled(again, past.weight), past.sums)
        present = []
        for each in _totals(module, new):
            expected = each if expected is None else expected
            _check_alike(module, each, expected)
            learn(each if earlier is None else added(each, earlier))
            present.append(each)
    return scaled(_total(present), 1 / len(present))


def _check_alike(module: Module, total: Statistics, expected: Statistics) -> None:
    """Refuse a way to learn whose statistics are not the same sums all the time, so that the past cannot be added."""
    if kind(total) != kind(expected):
        name = module.context.name
        raise CapabilityError(
            f"Expected the same sums from {name}.statistics in every pass, of shapes {kind(expected)}, to add those of "
            f"earlier chunks; got {kind(total)}. Over a stream, learn by one kind of sums: a GMM by inference='vb' or "
            "'svi', without moves.",
            name,
            "statistics",
        )


def _totals(module: Module, batches: Batches) -> Iterator[Statistics]:
    """What each step of one pass learns from: the sums over the plate, or over a part of it and scaled up."""
    statistics = method(module, "statistics", "which it has")
    if module.step_items is None or module.step_items >= batches.size:
        yield _total(statistics(**batch) for batch in batches.in_order(module.at_once))
        return
    steps = math.ceil(batches.size / module.step_items)
    pieces = math.ceil(module.step_items / (module.at_once or module.step_items))
    # Steps of one size, since a rest of a few items would speak for the whole plate; chance decides what is left out.
    items = max(1, batches.size // (steps * pieces))
    shuffled = batches.shuffled(items)
    for _ in range(steps):
        part = _total(statistics(**batch) for batch in islice(shuffled, pieces))
        yield scaled(part, batches.size / (items * pieces))


def _send(module: Module, batches: Batches, spill: Spill | None) -> Outbox:
    function = method(module, "send", "the one method that every module has")
    with torch.no_grad():
        if batches.size == 0:
            sent = _checked(module, "send", function(**batches.placeholder()), 1)
            return _assembled(_emptied(sent), batches, spill)
        assembly = Assembly(batches, spill)
        for batch in batches.in_order(module.at_once):
            n = min(batches.size - assembly.done, batches.rows_in(batch, module.at_once))
            assembly.add(_checked(module, "send", function(**batch), n), n)
        return assembly.whole()


def _assembled(outbox: Outbox, batches: Batches, spill: Spill | None) -> Outbox:
    """What was sent of all items that were given, over the whole plate."""
    assembly = Assembly(batches, spill)
    assembly.add(outbox, batches.size)
    return assembly.whole()


def _checked(module: Module, name: str, outbox: object, n: int) -> Outbox:
    """What a module sent, if it is an Outbox of `n` rows with the shapes that the module stated."""
    where = f"{module.context.name}.{name}"
    if not isinstance(outbox, Outbox):
        raise MessageError(
            f"Expected an Outbox from {where}; got {type(outbox).__name__}. Return Outbox(port=message)."
        )
    for port, sent in outbox.messages.items():
        messages: list[object] = list(sent.values()) if isinstance(sent, Mapping) else [sent]
        for message in messages:
            if not isinstance(message, Message):
                raise MessageError(
                    f"Expected a message for {port!r} from {where}; got {type(message).__name__}. "
                    "Wrap it, as in Gaussian(mean, variance)."
                )
            if len(message) != n:
                raise MessageError(f"Expected {n} rows for {port!r} from {where}, as it was given; got {len(message)}.")
    if outbox.elbo is not None:
        _as_terms(module, outbox.elbo, n)
    for port, _ in module.outs():
        latent, stated = outbox.messages.get(port), module.context.shapes[port]
        if isinstance(latent, Message) and latent.event_shape != stated:
            raise MessageError(
                f"Expected events of shape {stated} for {port!r} from {where}, as event_shapes states; "
                f"got {latent.event_shape}."
            )
    return outbox


def _total(pieces: Iterable[Statistics]) -> Statistics:
    iterator = iter(pieces)
    total = next(iterator)
    for piece in iterator:
        if isinstance(total, Tensor):
            assert isinstance(piece, Tensor)
            total = total + piece
        else:
            assert not isinstance(piece, Tensor)
            total = {name: total[name] + piece[name] for name in total}
    return total


def _emptied(outbox: Outbox) -> Outbox:
    """No item of what was sent: what is left is its kind and shape."""
    none = slice(0)
    messages = {
        port: message[none] if isinstance(message, Message) else {key: one[none] for key, one in message.items()}
        for port, message in outbox.messages.items()
    }
    beliefs = {port: belief[none] for port, belief in outbox.beliefs.items()}
    return Outbox(elbo=outbox.elbo and _none_of(outbox.elbo), beliefs=beliefs, **messages)


def _none_of(terms: Terms) -> Terms:
    """The terms of no item; those that belong to none stay."""
    return {name: term[:0] if term.ndim else term for name, term in terms.items()}


def _as_terms(module: Module, terms: object, n: int) -> Terms:
    """What a module's `elbo` returned of n items, if it is terms of F."""
    if not (isinstance(terms, Mapping) and all(isinstance(term, Tensor) for term in terms.values())):
        raise MessageError(
            f"Expected a mapping from names to tensors from {module.context.name}.elbo; got {type(terms).__name__}"
            + (
                f" with {', '.join(type(term).__name__ for term in terms.values())}."
                if isinstance(terms, Mapping)
                else "."
            )
        )
    for key, term in terms.items():
        if term.shape not in {(), (n,)}:
            raise MessageError(
                f"Expected the term {key!r} of {module.context.name}'s elbo of shape ({n},), a number an item, "
                f"or (), one for all; got {tuple(term.shape)}."
            )
    return terms


def _own_terms(module: Module, batches: Batches, terms: Terms, evaluated: int, shard: int) -> OwnTerms:
    n = batches.size
    # A global term counts once, with the first part of the plate.
    terms = {key: term if term.ndim or not shard else torch.zeros_like(term) for key, term in terms.items()}
    values = {}
    for key, term in terms.items():
        values[key] = float(term.sum(dtype=torch.float64)) * (n / max(1, evaluated) if term.ndim else 1.0)
        if math.isnan(values[key]):
            name, round = module.context.name, module.context.round
            raise DivergedError(f"The term {key!r} of {name}'s elbo is NaN in round {round}.", name, round)
    error = 0.0
    if evaluated < n:
        items = sum((term.double() for term in terms.values() if term.ndim), torch.zeros(()))
        error = n * float(items.std()) / math.sqrt(evaluated) * math.sqrt(1 - evaluated / n)
    common = tuple(key for key, term in terms.items() if not term.ndim)
    return OwnTerms(values, error, module.guarantee == "exact" and evaluated == n, common)


def _check_outbox(module: Module, outbox: Outbox) -> None:
    name = module.context.name
    for port, sent in outbox.messages.items():
        for message in [sent] if isinstance(sent, Message) else sent.values():
            try:
                message.check_finite(f"{name}.{port}")
            except MessageError as error:
                raise DivergedError(
                    f"{error} Round {module.context.round}; {name} is as it was before.", name, module.context.round
                ) from error
