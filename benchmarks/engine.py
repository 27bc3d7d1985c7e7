"""What the core costs: rounds of `fit` against the same calls of the same modules, written out by hand.

Run it with `python -m benchmarks.engine`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from benchmarks.report import Row, Seconds, Settings, compare, images, settings, timed, write
from pgmgraph import (
    Batches,
    Context,
    Event,
    Gaussian,
    GaussianPotential,
    Message,
    ModelGraph,
    Module,
    Observation,
    Outbox,
    Point,
    RoundEnded,
    fit,
)
from pgmgraph.plates import Delivery, Parcel
from pgmgraph.randomness import seed_of
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE

TARGET = 1.02
SEED = 0
COMPONENTS = 10
CPU = torch.device("cpu")


class VAEByHand:
    """Calls a VAE and a mixture as `fit` does, and nothing else: no graph, mail, undo, seeds kept apart or checks."""

    def __init__(self, pixels: Observation, vae: VAE, gmm: GMM) -> None:
        self.pixels, self.vae, self.gmm = pixels.point, vae, gmm
        dimensions = vae.latent_dim
        _set_up(vae, "vae", {"x": pixels.point.event_shape, "z": (dimensions,)}, frozenset({"x", "z"}), frozenset())
        shapes = {"x": (dimensions,), "c": (COMPONENTS,)}
        _set_up(gmm, "gmm", shapes, frozenset({"x"}), frozenset({"c"}))
        self.back: Message | None = None

    def round(self) -> None:
        """One update of each."""
        back = None if self.back is None else Parcel(self.back, GaussianPotential)
        batches = _batches(self.vae, {"x": Parcel(self.pixels, Point), "z": back})
        self.vae.learn_batches(batches)
        z = _sent(self.vae.send, "z", batches, self.vae.at_once)
        self.vae.context.updates += 1
        self.back = _mixture_round(self.gmm, Parcel(z, Gaussian))


class MixtureByHand:
    """The same for a mixture alone."""

    def __init__(self, points: Observation, gmm: GMM) -> None:
        self.points, self.gmm = points.point, gmm
        shapes = {"x": points.point.event_shape, "c": (COMPONENTS,)}
        _set_up(gmm, "gmm", shapes, frozenset({"x"}), frozenset({"c"}))

    def round(self) -> None:
        """One update."""
        _mixture_round(self.gmm, Parcel(self.points, Gaussian))


def main() -> None:
    """Measure, and write the report."""
    given = settings("Rounds of fit against the same calls written out by hand.")
    if given.quick:
        rows = [_vae_row((32,), 4, n=200, batch_size=100, rounds=4), _mixture_row(n=200, rounds=4)]
    else:
        rows = [
            _vae_row((128,), 18, n=3_000, batch_size=500, rounds=121),
            _vae_row((128,), 18, n=10_000, batch_size=500, rounds=61),
            _vae_row((500, 500, 2000), 10, n=10_000, batch_size=256, rounds=11),
            _mixture_row(n=3_000, rounds=201),
        ]
    _write(rows, given)


def _write(rows: list[Row], given: Settings) -> None:
    notes = [
        f"Images: {images(1)[0]}.",
        "fit: fit(graph, objective=False), all that happens from the end of one round to the end of the next.",
        "By hand: Batches made by hand, then learn_batches, statistics, learn and send of modules of the same seeds; "
        "no copy of the state to undo by, no seeded generators, no check of the messages.",
        "A round by hand is run between two rounds of fit. The first round, in which the mixture starts, is left out.",
        "Same results: whether both sides end with the same parameters, bit for bit.",
        "The mixture alone is no target: its rounds take milliseconds, and show the fixed cost of a round.",
    ]
    write("engine", "The core's cost: rounds of fit against calls by hand", ("fit", "by hand"), rows, notes, given)


def _vae_row(hidden: tuple[int, ...], latent_dim: int, *, n: int, batch_size: int, rounds: int) -> Row:
    def modules() -> tuple[Observation, VAE, GMM]:
        vae = VAE(latent_dim, hidden=hidden, batch_size=batch_size)
        return Observation(images(n)[1], scale=1 / 255), vae, GMM(COMPONENTS)

    pixels, vae, gmm = modules()
    graph = ModelGraph(pixels=pixels, vae=vae, gmm=gmm)
    graph.connect(pixels.value, vae.x)
    graph.connect(vae.z, gmm.x)
    mine = VAEByHand(*modules())
    ours, other = _interleaved(graph, mine.round, rounds)
    sizes = "-".join(map(str, (784, *hidden, latent_dim)))
    same = _same(vae, mine.vae) and _same(gmm, mine.gmm)
    return compare(f"VAE {sizes} and mixture, {n} images", ours, other, TARGET, {"same results": same})


def _mixture_row(*, n: int, rounds: int) -> Row:
    generator = torch.Generator().manual_seed(SEED)
    centres = 3 * torch.randn(COMPONENTS, 10, generator=generator)
    points = Observation(centres.repeat(n // COMPONENTS, 1) + torch.randn(n, 10, generator=generator))
    gmm = GMM(COMPONENTS)
    graph = ModelGraph(points=points, gmm=gmm)
    graph.connect(points.value, gmm.x)
    mine = MixtureByHand(points, GMM(COMPONENTS))
    ours, other = _interleaved(graph, mine.round, rounds)
    return compare(f"mixture alone, {n} x 10", ours, other, None, {"same results": _same(gmm, mine.gmm)})


def _interleaved(graph: ModelGraph, by_hand: Callable[[], None], rounds: int) -> tuple[list[Seconds], list[Seconds]]:
    """The times of all rounds but the first: of fit, and of those by hand that are run as each of its rounds ends."""
    ours: list[Seconds] = []
    other: list[Seconds] = []
    begin = (0.0, 0.0)

    def after_round(event: Event) -> None:
        nonlocal begin
        if isinstance(event, RoundEnded):
            ours.append(Seconds(time.perf_counter() - begin[0], time.process_time() - begin[1]))
            other.append(timed(by_hand))
            begin = (time.perf_counter(), time.process_time())

    fit(graph, rounds=rounds, seed=SEED, objective=False, callbacks=[after_round], device="cpu")
    return ours[1:], other[1:]


def _mixture_round(gmm: GMM, x: Parcel) -> Message:
    batches = _batches(gmm, {"x": x, "c": None})
    if gmm.context.updates == 0:
        gmm.start(batches)
    statistics: Callable[..., Mapping[str, Tensor]] = gmm.statistics
    with torch.no_grad():
        for _ in range(gmm.passes):
            [total] = [statistics(**batch) for batch in batches.in_order(gmm.at_once)]
            gmm.learn(total)
    back = _sent(gmm.send, "x", batches, gmm.at_once)
    gmm.context.updates += 1
    return back


def _sent(send: Callable[..., Outbox], port: str, batches: Batches, at_once: int | None) -> Message:
    """What a module sends by one port, for the whole plate."""
    pieces: list[Message] = []
    with torch.no_grad():
        for batch in batches.in_order(at_once):
            message = send(**batch).messages[port]
            assert isinstance(message, Message)
            pieces.append(message)
    return type(pieces[0]).concatenate(pieces)


def _set_up(
    module: Module,
    name: str,
    shapes: Mapping[str, tuple[int, ...]],
    connected: frozenset[str],
    owned: frozenset[str],
) -> None:
    seed = seed_of(SEED, name, "setup", 0)
    torch.manual_seed(seed)
    module.setup(Context(name, shapes, connected, owned, CPU, module.dtype, seed))


def _batches(module: Module, mail: dict[str, Delivery]) -> Batches:
    """What `fit` would hand to an update, on the seed that it would use."""
    context = module.context
    torch.default_generator.manual_seed(seed_of(SEED, context.name, "update", context.updates))
    batches = Batches(mail, frozenset({"x"}), CPU, module.dtype)
    context.plate_size = batches.size
    return batches


def _same(one: VAE | GMM, other: VAE | GMM) -> bool:
    pairs = zip(_tensors(one.state_dict()), _tensors(other.state_dict()), strict=True)
    return all(torch.equal(mine, theirs) for mine, theirs in pairs)


def _tensors(state: object) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, Mapping):
        for value in state.values():
            yield from _tensors(value)


if __name__ == "__main__":
    main()
