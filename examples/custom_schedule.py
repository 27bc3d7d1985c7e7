"""Schedules of one's own: the same model, learnt in four orders.

Run it: python examples/custom_schedule.py
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pgmgraph import Event, ModelGraph, ModuleUpdated, Observation, Schedule, Scores, Stage, View, fit
from pgmgraph.datasets import Digits, load_bundled_digits
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE, Ramp

ROUNDS = 8


def mixture_first(view: View, round: int) -> Iterator[Stage]:
    """In early rounds the mixture gets more updates: four, then three, two, and one from there on."""
    yield "vae"
    for _ in range(max(1, 4 - round)):
        yield "gmm"


def side_by_side(view: View, round: int) -> Iterator[Stage]:
    """Both from the same mail, as soon as there is some: a tuple is one stage."""
    if round == 0:
        yield from view.bottom_up
    else:
        yield "vae", "gmm"


SCHEDULES: dict[str, Schedule] = {
    "bottom_up": "bottom_up",
    "a list": ["vae", "gmm", "gmm"],
    "a function": mixture_first,
    "one stage": side_by_side,
}


def learn(digits: Digits, schedule: Schedule) -> tuple[float, float, float, Counter[str]]:
    """F, accuracy and seconds of one run, and how often each module was updated."""
    pixels = Observation(digits.train_images, scale=1 / 255)
    vae = VAE(
        latent_dim=6,
        hidden=(128,),
        first_epochs=20,
        epochs=2,
        batch_size=100,
        lr=2e-3,
        kl_weight=Ramp(0.1, 1.0, rounds=ROUNDS - 1),
    )
    gmm = GMM(components=10, starts=4)
    graph = ModelGraph(pixels=pixels, vae=vae, gmm=gmm)
    graph.connect(pixels.value, vae.x)
    graph.connect(vae.z, gmm.x)

    updates: Counter[str] = Counter()

    def count(event: Event) -> None:
        if isinstance(event, ModuleUpdated):
            updates[event.module] += 1

    scores = Scores(gmm.c, digits.train_labels)
    result = fit(graph, rounds=ROUNDS, seed=0, schedule=schedule, callbacks=[scores, count])
    bound, accuracy = result.history["F"][-1], result.history["accuracy"][-1]
    assert bound is not None
    assert accuracy is not None
    return bound, accuracy, result.seconds, updates


def main() -> None:
    """Print a line a schedule."""
    digits = load_bundled_digits()
    print(f"{'schedule':12}{'vae updates':>13}{'gmm updates':>13}{'F':>10}{'accuracy':>10}{'seconds':>9}")
    for name, schedule in SCHEDULES.items():
        bound, accuracy, seconds, updates = learn(digits, schedule)
        print(f"{name:12}{updates['vae']:13}{updates['gmm']:13}{bound:10.0f}{accuracy:10.3f}{seconds:9.1f}")


if __name__ == "__main__":
    main()
