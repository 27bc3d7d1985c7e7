"""Wires that pool items into groups: through inference, generation, runs and configurations; and what is refused."""

import itertools
import math

import numpy as np
import torch

from pgmgraph import ModelGraph, Observation, fit, generate, infer
from pgmgraph.config import from_config, to_config
from pgmgraph.errors import ConfigError, DataError, MessageTypeError, PlateError, RunError, WiringError
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.hmm import HMM
from pgmgraph_modules.multimodal import MultimodalMixture
from tests.grouped import IDS, SIZE, N, members, shared, symbols, two_plates, wire
from tests.refusals import refused
from tests.toys import Gathering, Link, Noisy, Sink, Symbols, Weights

torch.set_num_threads(1)


def new(n, ids):
    return Observation(torch.randn(n, 2), plate="patches", groups={"images": ids})


def test_inference_gives_the_last_messages_of_fit():
    result = fit(graph := two_plates(), rounds=60)
    found = infer(graph)
    for name in ("gmm.c", "kind.c"):
        torch.testing.assert_close(found[name].probs, result.beliefs[name].probs, rtol=1e-5, atol=1e-5)
    assert len(found["gmm.c"]) == N
    assert len(found["kind.c"]) == SIZE


def test_new_images_have_members_of_their_own():
    fit(graph := two_plates(), rounds=2)
    both = infer(graph, {"vectors": new(7, [0, 0, 1, 3, 3, 3, 0]), "words": torch.ones(4, 3)})
    assert (len(both["gmm.c"]), len(both["kind.c"])) == (7, 4)
    assert not both["kind.c"].missing_rows().any()
    # Words left out are missing of every image; image 2 then has nothing.
    patches = infer(graph, {"vectors": new(7, [0, 0, 1, 3, 3, 3, 0])}, predict=["words"])
    assert patches["kind.c"].missing.tolist() == [False, False, True, False]
    assert patches["words"].event_shape == (3,)
    # Patches left out: one stands for those of each image, and is told the kind.
    words = infer(graph, {"words": torch.tensor([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0]])})
    kind = graph.modules["kind"]
    assert words["gmm.c"].missing.all()
    told = words["kind.c"].probs @ kind.table("patch")
    torch.testing.assert_close(words["gmm.c"].probs, told, rtol=0.05, atol=0.05)
    # And what such a patch looks like: as the components do that it may be of.
    expected = words["gmm.c"].probs @ graph.modules["gmm"].means
    error = words["vectors"].variance.sqrt() / math.sqrt(100)
    assert ((words["vectors"].mean - expected).abs() < 4 * error).all()


def test_new_members_without_groups_are_refused():
    fit(graph := two_plates(), rounds=1)
    with refused(PlateError, "gmm.c is pooled into 'images' at kind.x.patch", "vectors", "groups={'images': ids}"):
        infer(graph, {"vectors": torch.randn(4, 2)})
    with refused(DataError, "patches", "images", "batch_size"):
        infer(graph, batch_size=2)


def test_generation_draws_groups_of_one_member():
    fit(graph := two_plates(), rounds=3)
    drawn = generate(graph, n=6)
    assert {name: len(value) for name, value in drawn.items()} == dict.fromkeys(drawn, 6)
    assert set(drawn) == {"vectors", "words", "gmm.c", "kind.c"}
    told = generate(graph, {"words": torch.tensor([0.0, 9.0, 0.0])}, n=200)
    share = torch.bincount(told["gmm.c"], minlength=3) / 200
    expected = infer(graph, {"words": torch.tensor([[0.0, 9.0, 0.0]])}, draws=0)["kind.c"].probs
    table = graph.modules["kind"].table("patch")
    torch.testing.assert_close(share.double(), (expected @ table)[0], rtol=0, atol=4 * math.sqrt(0.25 / 200))
    assert len(generate(graph, {"vectors": torch.zeros(2)}, n=4)["words"]) == 4
    assert len(generate(graph, {"gmm.c": 1}, n=4)["words"]) == 4


def test_a_run_goes_on_and_refuses_other_groups(tmp_path):
    whole = fit(two_plates(), rounds=4)
    fit(two_plates(), rounds=2, run_dir=tmp_path / "run")
    with refused(RunError, "vectors"):
        fit(two_plates(torch.flip(IDS, [0])), rounds=4, run_dir=tmp_path / "run", resume=True)
    resumed = fit(two_plates(), rounds=4, run_dir=tmp_path / "run", resume=True)
    assert resumed.history["F"] == whole.history["F"]
    assert torch.equal(resumed.beliefs["gmm.c"].probs, whole.beliefs["gmm.c"].probs)


def test_a_configuration_holds_the_wire():
    config = to_config(two_plates())
    assert config["wires"]["kind.x.patch"] == {"from": "gmm.c", "pool": "images"}
    bare = from_config(config)
    bare.check()  # without data, one missing member stands for the members of one missing group
    given = dict(two_plates().observations)
    learnt = fit(from_config(config, given), rounds=2).history["F"]
    assert learnt == fit(two_plates(), rounds=2).history["F"]
    config["wires"]["kind.x.patch"] = {"from": "gmm.c", "pool": 3, "average": "no"}
    with refused(ConfigError, "name of a plate", "average"):
        from_config(config)


def summed(values, pool="images", average=False, via=None, missing=None, ids=IDS):
    sink = Sink()
    graph = ModelGraph(seen=members(values, ids, missing=missing), sink=sink)
    graph.connect(graph.observations["seen"].value, sink.x, pool=pool, average=average, via=via)
    return graph, sink


def test_values_add_up_or_are_averaged():
    values = torch.arange(2.0 * N).reshape(N, 2)
    for average in (False, True):
        graph, sink = summed(values, average=average)
        fit(graph, rounds=1)
        # Images without patches are missing, and a module never sees them.
        assert sink.seen.value.shape == (3, 2)
        counts = torch.tensor([3.0, 3.0, 2.0])[:, None] if average else 1.0
        expected = torch.stack([values[group == IDS].sum(0) for group in (0, 2, 4)]) / counts
        torch.testing.assert_close(sink.seen.value, expected)
    with refused(DataError, "'seen' is pooled into 'images' at sink.x", "predict"):
        infer(graph, predict=["seen"])


def test_beliefs_about_vectors_are_pooled_by_their_means():
    noisy, total = Noisy(), Gathering()
    graph = ModelGraph(seen=members(torch.randn(N, 2)), noisy=noisy, total=total, centre=(sink := Sink()))
    graph.connect(graph.observations["seen"].value, noisy.y)
    graph.connect(noisy.z, total.x["z"], pool="images", via="mean", average=True)
    graph.connect(total.z, sink.x)
    result = fit(graph, rounds=1, objective=False)
    means = result.beliefs["noisy.z"].mean
    torch.testing.assert_close(result.beliefs["total.z"].mean[2], means[IDS == 2].mean(0))


def test_what_each_item_has_of_its_own_is_not_pooled():
    noisy, gmm = Noisy(), GMM(2)
    graph = ModelGraph(seen=members(torch.randn(N, 2)), noisy=noisy, gmm=gmm, sink=(sink := Sink()))
    with refused(MessageTypeError, "Gaussian from noisy.z", "one of its own"):
        graph.connect(noisy.z, gmm.x, pool="images")
    with refused(MessageTypeError, "via='mean'"):
        graph.connect(noisy.z, sink.x, pool="images")
    with refused(MessageTypeError, "average=True for gmm.c", "adds up"):
        graph.add("hmm", hmm := HMM(2))
        graph.connect(gmm.c, hmm.c, pool="images", average=True)
    for wrong in ("", 3, None):
        with refused(WiringError, "name of a plate", "seen.value"):
            graph.connect(graph.observations["seen"].value, sink.x, pool=wrong, average=True)


def test_ids_that_no_row_has_are_refused():
    graph = two_plates(captions=4)
    with refused(PlateError, "from 0 to 3", "4 rows", "got 4 at row 3 of the plate 'patches'"):
        graph.check()
    with refused(DataError, "integers", "np.unique(words, return_inverse=True)"):
        members(ids=list("abcdabcd"))
    for wrong in ([0, 1], [[0]] * N, np.zeros(N)):
        with refused(DataError, f"{N} integers"):
            members(ids=wrong)
    with refused(DataError, "got -1 at row 2") as caught:
        members(ids=[0, 0, -1, 0, 0, 0, 0, 0])
    assert caught.value.rows == (2,)
    with refused(DataError, "another plate"):
        Observation(symbols(), plate="images", groups={"images": IDS})


def test_words_are_numbered_as_the_refusal_says():
    names, ids = np.unique(["b", "a", "a", "c", "b", "b", "a", "c"], return_inverse=True)
    assert fit(shared(members(ids=ids)), rounds=1).history["F"] == fit(shared(members(ids=ids)), rounds=1).history["F"]
    assert names[ids[3]] == "c"


def test_plates_that_do_not_go_together_are_refused():
    graph = ModelGraph(vectors=members(torch.randn(N, 2)), words=Observation(torch.ones(SIZE, 3), plate="images"))
    graph.add("gmm", GMM(3)), graph.add("kind", MultimodalMixture(3))
    wire(graph, pool=None)
    with refused(PlateError, "'patches'", "'images'", "pool="):
        graph.check()
    misspelt = shared()
    other = ModelGraph(seen=members(), below=Symbols(3, 4), parent=Weights())
    other.connect(other["seen"].value, other["below"].x)
    other.connect(other["below"].c, other["parent"].c, pool="image")
    with refused(PlateError, "nobody says", "Did you mean 'images'?"):
        other.check()
    assert misspelt.check().sizes == {"patches": N, "images": SIZE}
    assert misspelt.check().plates == {"below": "patches", "parent": "images"}


def test_one_plate_has_one_set_of_groups():
    def graph(ids):
        gathering, sink = Gathering(), Sink()
        made = ModelGraph(one=members(torch.ones(N, 1)), other=members(torch.ones(N, 1), ids), all=gathering, sink=sink)
        made.connect(made["one"].value, gathering.x["one"], pool="images")
        made.connect(made["other"].value, gathering.x["other"], pool="images")
        made.connect(gathering.z, sink.x)
        return made

    with refused(PlateError, "'one'", "'other'", "same groups"):
        graph(torch.flip(IDS, [0])).check()
    assert graph(IDS).check().sizes["images"] == SIZE


def test_groups_of_groups():
    films = torch.tensor([0, 0, 1, 1, 0])
    below, link, top = Symbols(3, 4, learning=False), Link(2, learning=False), Weights()
    frames = Observation(torch.ones(SIZE, 1), plate="images", groups={"films": films})
    graph = ModelGraph(seen=members(), frames=frames, below=below, link=link, top=top, sink=(sink := Sink()))
    graph.connect(graph["seen"].value, below.x)
    graph.connect(frames.value, sink.x)
    graph.connect(below.c, link.c, pool="images")
    graph.connect(link.b, top.c, pool="films")
    result = fit(graph, rounds=4, strict=True)
    assert graph.check().sizes == {"patches": N, "images": SIZE, "films": 2}
    probs = result.beliefs["link.b"].probs
    assert torch.equal(probs[0], probs[4])
    assert not torch.equal(probs[0], probs[2])
    bounds = result.history["F"]
    assert all(after >= before - 1e-9 for before, after in itertools.pairwise(bounds))
    # Who says which film an image belongs to must lie on the plate of images.
    without = ModelGraph(seen=members(), below=Symbols(3, 4), link=Link(2), top=Weights())
    without.connect(without["seen"].value, without["below"].x)
    without.connect(without["below"].c, without["link"].c, pool="images")
    without.connect(without["link"].b, without["top"].c, pool="films")
    with refused(PlateError, "each row of the plate 'images'", "an observation on it"):
        without.check()


def test_the_range_of_sums_is_what_is_compared():
    class Shares(Sink):
        def supports(self):
            return {"x": (0.0, 1.0)}

    def graph(average):
        made = ModelGraph(seen=members(torch.full((N, 1), 0.5)), shares=(shares := Shares()))
        made.connect(made["seen"].value, shares.x, pool="images", average=average)
        return made

    graph(average=True).check()
    with refused(DataError, "within [0, 1] at shares.x", "to 1.5"):
        graph(average=False).check()
    # Where all members are left out there is no sum that could be out of range.
    absent = graph(average=False)["seen"].absent(SIZE)
    assert graph(average=False).check({"seen": absent}).sizes["images"] == SIZE


def test_groups_lie_in_sequences_where_an_observation_on_their_plate_says_so():
    views = Observation(torch.randn(SIZE, 3), plate="images", sequences=["one", "one", "two", "two", "two"])
    graph = ModelGraph(seen=members(), views=views, below=Symbols(3, 4), hmm=HMM(3, starts=1))
    graph.connect(graph["seen"].value, graph["below"].x)
    graph.connect(graph["below"].c, graph["hmm"].c, pool="images")
    graph.connect(views.value, graph["hmm"].x)
    result = fit(graph, rounds=20, strict=True)
    assert result.beliefs["hmm.s"].lengths().tolist() == [2, 3]
    assert torch.equal(result.beliefs["below.c"].probs, result.beliefs["hmm.s"].probs[IDS])
