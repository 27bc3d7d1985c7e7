"""How well clusters agree with digits: message schemes and ways out of a bad start, each over several seeds.

Run it with `python -m benchmarks.accuracy mnist --seeds 0 1 2 3 4`. Each run is kept as it ends; what is done
already is not done again, and the report is made of all that lies in the output folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks import comparison
from benchmarks.digits import load
from benchmarks.first_learning import CACHE
from benchmarks.records import Record, Records
from benchmarks.report import command_line, hold_to, machine
from benchmarks.schemes import SETTINGS, Plan, Scheme, Setting, plan, quick
from benchmarks.trial import can_embed, learn, observed, wire
from pgmgraph import BeginningStarted, Event, RoundEnded
from pgmgraph.datasets import Digits
from pgmgraph.errors import DataFileError, LearningError


def main() -> int:
    """Learn what is not done yet, and write the report."""
    given = _arguments()
    hold_to(given.threads)
    setting = quick(SETTINGS[given.setting]) if given.quick else SETTINGS[given.setting]
    records = Records(given.output / "accuracy" / setting.name)
    failed = 0
    if not given.report_only:
        try:
            digits = load(setting.images, bundled=setting.bundled, data_dir=given.data_dir)
        except DataFileError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        failed = _learn_all(setting, chosen(setting, given.schemes), digits, records, given)
    comparison.write(setting, records, given.output, given.quick)
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = command_line(__doc__ or "")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    titles = "; ".join(f"{setting.name}: {setting.title}" for setting in SETTINGS.values())
    parser.add_argument("setting", choices=SETTINGS, help=titles)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="(default: 0 1 2 3 4)")
    parser.add_argument("--schemes", nargs="+", help="some of the setting's schemes (default: all)")
    parser.add_argument("--data-dir", type=Path, help="folder with MNIST's files (default: see load_mnist)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="auto: a GPU if there is one")
    parser.add_argument(
        "--cache", type=Path, default=CACHE, help="folder for the first learning (default: %(default)s)"
    )
    parser.add_argument("--again", action="store_true", help="also run what is done already")
    parser.add_argument("--report-only", action="store_true", help="learn nothing; the report of what is done")
    given = parser.parse_args()
    names = [scheme.name for scheme in SETTINGS[given.setting].schemes]
    for name in given.schemes or []:
        if name not in names:
            parser.error(f"Expected schemes of {given.setting} ({', '.join(names)}); got {name!r}.")
    if min(given.seeds) < 0:
        parser.error(f"Expected seeds of at least 0; got {min(given.seeds)}.")
    return given


def chosen(setting: Setting, names: Sequence[str] | None) -> list[Scheme]:
    """The schemes that were asked for, without those that lack a library."""
    chosen = [scheme for scheme in setting.schemes if names is None or scheme.name in names]
    lacking = [scheme for scheme in chosen if scheme.embedding != "none" and not can_embed()]
    for scheme in lacking:
        print(f"{scheme.name}: left out, since umap-learn is not installed. Install it: pip install 'pgmgraph[umap]'")
    return [scheme for scheme in chosen if scheme not in lacking]


def _learn_all(
    setting: Setting, schemes: Sequence[Scheme], digits: Digits, records: Records, given: argparse.Namespace
) -> int:
    """Run what is not done, seed by seed; returns how many runs failed."""
    plans = [
        plan(setting, scheme, seed, digits.name, len(digits.train_labels)) for seed in given.seeds for scheme in schemes
    ]
    for one in plans[: len(schemes)]:
        # Arguments that no module takes are found before hours of learning, not after.
        wire(one, observed(digits.train_images, digits.image_shape, one.vae)).graph.check()
    facts = {**machine(given.threads), "device": _device(given.device)}
    failed = 0
    for one in plans:
        known = records.find(one)
        if known and known.plan == one.recorded() and not given.again:
            print(f"{setting.name} {one.name}: done before", flush=True)
            continue
        try:
            outcome = learn(one, digits, device=given.device, cache=given.cache, watch=_Rounds(one))
        except LearningError as error:
            print(f"{setting.name} {one.name}: failed: {error}", file=sys.stderr, flush=True)
            failed += 1
        else:
            _announce(one, records.write(one, facts, outcome))
    return failed


def _device(asked: str) -> str:
    """The device that modules live on, by its name."""
    on_gpu = asked == "cuda" or (asked == "auto" and torch.cuda.is_available())
    return torch.cuda.get_device_name() if on_gpu else "cpu"


class _Rounds:
    """Prints a line a round."""

    def __init__(self, plan: Plan) -> None:
        self._name = f"{plan.setting} {plan.name}"

    def __call__(self, event: Event) -> None:
        match event:
            case BeginningStarted():
                print(f"{self._name}: beginning {event.number + 1} of {event.beginnings}", flush=True)
            case RoundEnded():
                scores = ", ".join(f"{name} {value:.4f}" for name, value in event.scores.items())
                F = "not known" if event.F is None else f"{event.F:,.0f}"
                print(f"{self._name}: round {event.round + 1}, F {F}, {scores}, {event.seconds:.1f} s", flush=True)


def _announce(plan: Plan, record: Record) -> None:
    outcome = record.outcome
    print(
        f"{plan.setting} {plan.name}: accuracy {outcome.training.accuracy:.4f} training, "
        f"{outcome.test.accuracy:.4f} test, {outcome.seconds:,.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
