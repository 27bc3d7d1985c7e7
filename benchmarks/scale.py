"""What it costs, and what it gains, to run modules in processes of their own.

Run it with `python -m benchmarks.scale`. Needs the extra `ray`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import torch

from benchmarks.paper import draw, measure, prediction_table
from benchmarks.report import Cell, Table, command_line, keep, settings_of
from benchmarks.scaled import mixture, possible, two_vaes, vae_gmm
from pgmgraph import Event, FitResult, ModelGraph, ModuleUpdated, fit
from pgmgraph.executors.ray import RayExecutor

SEED = 0
OVERHEAD_TARGET, TOGETHER_TARGET = 1.05, 1 / 1.7


def compared(
    case: str,
    make: Callable[[], ModelGraph],
    executor: Callable[[], RayExecutor],
    rounds: int,
    turns: int,
    target: float,
) -> tuple[dict[str, Cell], FitResult, FitResult]:
    """Seconds of a round here and elsewhere, in turns; the first round, which starts modules, is left out."""
    here, there = list[float](), list[float]()
    results: dict[bool, FitResult] = {}
    for turn in range(turns):
        sides = [(here, None), (there, executor)]
        for seconds, elsewhere in sides[:: 1 if turn % 2 == 0 else -1]:
            result = results[elsewhere is None] = _learn(make(), rounds, elsewhere)
            seconds.append(median(value for value in result.history["seconds"][1:] if value is not None))
    alone, spread = results[True], results[False]
    ratios = sorted(one / other for one, other in zip(there, here, strict=True))
    row: dict[str, Cell] = {
        "case": case,
        "serial, s a round": median(here),
        "Ray, s a round": median(there),
        "ratio": median(ratios),
        "least": ratios[0],
        "largest": ratios[-1],
        f"target {target:.2f}": "met" if median(ratios) <= target else "missed",
    }
    return row, alone, spread


def _learn(graph: ModelGraph, rounds: int, executor: Callable[[], RayExecutor] | None) -> FitResult:
    if executor is None:
        return fit(graph, rounds=rounds, seed=SEED)
    with executor() as elsewhere:
        return fit(graph, rounds=rounds, seed=SEED, executor=elsewhere)


def overhead_part(given: argparse.Namespace) -> list[Table]:
    """The full preset's networks, its modules in two processes, and whether all numbers are the same."""
    n, hidden, turns = (500, (16,), 1) if given.quick else (20_000, (500, 500, 2000), 3)
    row, alone, spread = compared(
        f"VAE 784-{'-'.join(map(str, hidden))}-10, GMM, N = {n}",
        lambda: vae_gmm(n, hidden),
        lambda: RayExecutor(patience=120),
        3,
        turns,
        OVERHEAD_TARGET,
    )
    row["F, beliefs"] = "the same, bit for bit" if _same(alone, spread) else "not the same"
    notes = ["One round is an epoch of the VAE and two steps of the mixture, with F after each. Medians over turns."]
    return [Table("overhead", "What two processes cost where one waits for the other", [row], notes)]


def messages_part(given: argparse.Namespace) -> list[Table]:
    """What goes over the wires, and what of it reaches the driver."""
    rows: list[dict[str, Cell]] = []
    for n in (500, 1_000) if given.quick else (10_000, 100_000):
        seconds: list[tuple[str, float]] = []

        def heard(event: Event, seconds: list[tuple[str, float]] = seconds) -> None:
            if isinstance(event, ModuleUpdated) and event.round > 0:
                seconds.append((event.module, event.seconds))

        with RayExecutor(patience=120, keep=False) as executor:
            learning = fit(vae_gmm(n, (16,)), rounds=4, seed=SEED, executor=executor, callbacks=[heard])
            traffic = executor.traffic
        working = {name: median(value for module, value in seconds if module == name) for name, _ in seconds}
        a_round = median(value for value in learning.history["seconds"][1:] if value is not None)
        rows.append(
            {
                "N": n,
                "bytes an item a round": sum(traffic.sent.values()) / n,
                "messages a round": len(traffic.sent),
                "ms a round": 1e3 * a_round,
                "... of it modules at work": 1e3 * sum(working.values()),
                "ms a message, all else": 1e3 * (a_round - sum(working.values())) / 4,
                "bytes to the driver while learning": traffic.fetched - _size_of_beliefs(learning),
            }
        )
    notes = [
        "VAE 784-16-10 and GMM with 10 components. What is left of a round beside the modules' work, evaluations of F "
        "among it, is divided by four: two updates and two evaluations.",
        "Bytes to the driver: of messages that were fetched into the process that called `fit`, less the beliefs that "
        "it returns in the end.",
    ]
    return [Table("messages", "Messages from process to process", rows, notes)]


def together_part(given: argparse.Namespace) -> list[Table]:
    """Work that can be done at the same time, on two cores."""
    n, hidden, turns = (500, (16,), 1) if given.quick else (10_000, (500, 500), 3)
    vaes, alone, spread = compared(
        f"two VAEs 784-{'-'.join(map(str, hidden))}-10, each with a GMM, N = {n}",
        lambda: two_vaes(n, hidden),
        lambda: RayExecutor(patience=120),
        4,
        turns,
        TOGETHER_TARGET,
    )
    vaes["possible here"] = possible("vae", n, hidden)
    vaes["F, beliefs"] = "the same, bit for bit" if _same(alone, spread) else "not the same"
    n = 2_000 if given.quick else 600_000
    shards, alone, spread = compared(
        f"GMM, K = D = 10, ten passes, N = {n}, one part and two",
        lambda: mixture(n),
        lambda: RayExecutor(patience=120, shards={"gmm": 2}),
        4,
        turns,
        TOGETHER_TARGET,
    )
    shards["possible here"] = possible("mixture", n // 2, hidden)
    one, two = alone.history["F"][-1], spread.history["F"][-1]
    assert one is not None
    assert two is not None
    shards["F, beliefs"] = f"F differs by {abs(one - two) / abs(one):.0e} of itself"
    notes = [
        "One thread in each process. Medians over turns, without the first round.",
        "Possible here: the ratio for two separate programs with half of the work each, which share nothing but the "
        "machine; once.",
    ]
    return [Table("together", "Work at the same time", [vaes, shards], notes)]


def _same(one: FitResult, other: FitResult) -> bool:
    beliefs = all(
        torch.equal(getattr(belief, name), getattr(other.beliefs[variable], name))
        for variable, belief in one.beliefs.items()
        for name in belief.per_item
    )
    return beliefs and one.history["F"] == other.history["F"]


def _size_of_beliefs(result: FitResult) -> int:
    tensors = [
        getattr(belief, name) for belief in result.beliefs.values() for name in (*belief.per_item, *belief.shared)
    ]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def paper_part(given: argparse.Namespace) -> list[Table]:
    """A model on paper, with what is measured here in it."""
    measured = measure(given.quick)
    path = given.output / ("scale-quick.png" if given.quick else "scale.png")
    draw(measured, path)
    return [measured.table(), prediction_table(measured)]


PARTS: Mapping[str, Callable[[argparse.Namespace], list[Table]]] = {
    "overhead": overhead_part,
    "messages": messages_part,
    "together": together_part,
    "paper": paper_part,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the parts that were asked for, and write the report after each."""
    parser = command_line("Modules in processes of their own against one process.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="(default: all)")
    given = parser.parse_args(arguments)
    settings_of(given)
    path = given.output / ("scale-quick.json" if given.quick else "scale.json")
    report = ""
    for name in given.parts:
        report = keep(path, "From one core to several", list(PARTS), name, PARTS[name](given), given)
    print(report, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
