"""How much sounds should count beside images, chosen without labels: by how well they foretell images left out.

Run it with `python -m benchmarks.multimodal_weight`, on the set of `benchmarks.multimodal`. A fifth of the items is
left out; of these, the mean of log p(image given sound) is compared over weights. Accuracies are there for information.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np
import torch
from sklearn.decomposition import PCA

from benchmarks.multimodal_spoken import DIGITS, Spoken, load
from benchmarks.report import Cell, Table, closing, command_line, hold_to, machine, write_json, write_text
from pgmgraph import Categorical, Gaussian, ModelGraph, Observation, accuracy, fit, infer
from pgmgraph_modules.multimodal import MultimodalMixture


def main() -> int:
    """Compare the weights, and write the report."""
    parser = command_line(__doc__ or "")
    parser.add_argument("--weights", type=float, nargs="+", default=[0.07, 0.1, 0.2, 0.4, 1.0])
    given = parser.parse_args()
    hold_to(given.threads)
    data = load(given.quick)
    if data is None:
        print("error: no serket/digits3000.npz in the folder that PGMGRAPH_DATA names", file=sys.stderr)
        return 1
    title = "Weights of the sounds, by the images that they foretell"
    table = Table("multimodal-weight", title, [compared(data, weight) for weight in given.weights])
    facts = machine(given.threads)
    name = "multimodal-weight-quick" if given.quick else "multimodal-weight"
    write_json(given.output / f"{name}.json", {"benchmark": name, "machine": facts, "rows": table.rows})
    text = "\n".join([f"# {title}", "", *table.lines(), "", *closing(facts, given.quick)]) + "\n"
    write_text(given.output / f"{name}.md", text)
    print(text)
    return 0


def compared(data: Spoken, weight: float) -> dict[str, Cell]:
    """What a mixture with this weight, learnt from four fifths, says of the rest."""
    order = np.random.default_rng(0).permutation(len(data.labels))
    kept, left_out = np.split(order, [4 * len(order) // 5])
    components = min(18, len(kept))
    vectors = PCA(components, random_state=0).fit(data.images[kept] / 255).transform(data.images / 255)
    starts = 2 if data.quick else 5
    mixture = MultimodalMixture(DIGITS, concentration=len(kept) / DIGITS, weights={"w.sound": weight}, starts=starts)
    graph = ModelGraph(mixture=mixture, images=Observation(vectors[kept]), sounds=Observation(data.sounds[kept]))
    graph.connect(graph.observations["images"].value, mixture.v["image"])
    graph.connect(graph.observations["sounds"].value, mixture.w["sound"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is tempered, and says so
        learnt = fit(graph, rounds=2, seed=0).beliefs["mixture.c"]
    heard = infer(graph, {"sounds": data.sounds[left_out]}, draws=0)["mixture.c"]
    assert isinstance(learnt, Categorical)
    assert isinstance(heard, Categorical)
    values = torch.from_numpy(vectors[left_out])
    seen = mixture.log_likelihoods("v.image", Gaussian(values, torch.zeros_like(values)))
    return {
        "weight": weight,
        "log p(image given sound)": float(torch.logsumexp(heard.probs.log() + seen, 1).mean()),
        "accuracy": accuracy(learnt.most_probable().numpy(), data.labels[kept]),
        "accuracy from sounds left out": accuracy(heard.most_probable().numpy(), data.labels[left_out]),
    }


if __name__ == "__main__":
    sys.exit(main())
