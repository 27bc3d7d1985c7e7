"""Whatever is wrong with a configuration is told, all of it at once, and nothing else happens."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pgmgraph.config import from_config, override, to_config
from pgmgraph.errors import ConfigError
from tests.refusals import refused

BASE: dict[str, Any] = {
    "observations": {"pixels": {"event_shape": [16], "dtype": "uint8", "scale": 0.5}},
    "modules": {
        "vae": {"module": "vae", "latent_dim": 2, "hidden": [8], "kl_weight": 1.0},
        "gmm": {"module": "gmm", "components": 3, "starts": 1},
    },
    "wires": {"vae.x": "pixels", "gmm.x": {"from": "vae.z"}},
}


@pytest.mark.parametrize(
    ("keys", "value", "parts"),
    [
        # sections
        (("module",), {}, ("module: No such key.", "Did you mean 'modules'?")),
        (("modules",), [], ("modules: Expected a mapping", "got []")),
        (("wires",), ["a"], ("wires: Expected a mapping, such as {vae.x: pixels}",)),
        (("observations",), 3, ("observations: Expected a mapping",)),
        # observations
        (("observations", "pixels"), 3, ("observations.pixels: Expected a mapping", "got 3")),
        (("observations", "pixels"), None, ("observations.pixels.event_shape: Expected the event_shape",)),
        (("observations", "pixels", "event_shape"), [0], ("observations.pixels.event_shape", "positive sizes")),
        (("observations", "pixels", "event_shape"), [2**40], ("observations.pixels.event_shape", "4,294,967,296")),
        (("observations", "pixels", "event_shape"), [True], ("a list of integers or null; got [True]",)),
        (("observations", "pixels", "dtype"), "uint9", ("observations.pixels.dtype", "Did you mean 'uint8'?")),
        (("observations", "pixels", "scale"), 0, ("observations.pixels.scale", "positive, finite scale")),
        (("observations", "pixels", "shape"), [2], ("observations.pixels.shape: An observation takes no 'shape'",)),
        (("observations", "vae"), {"event_shape": [1]}, ("modules.vae: The name 'vae' is taken",)),
        (("observations", "my pixels"), {"event_shape": [1]}, ("observations.my pixels", "Python identifier")),
        # modules
        (("modules", "gmm"), "gmm", ("modules.gmm: Expected a mapping with the key module", "Installed: class_prior")),
        (("modules", "gmm"), {"components": 3}, ("modules.gmm: Expected a mapping with the key module",)),
        (("modules", "gmm", "module"), "gmn", ("modules.gmm.module: No module named 'gmn'", "Did you mean 'gmm'?")),
        (("modules", "gmm", "module"), "json:load", ("modules.gmm.module: Expected a subclass of pgmgraph.Module",)),
        (("modules", "gmm", "module"), "pgmgraph:Module", ("Expected a subclass of pgmgraph.Module with ports",)),
        (("modules", "gmm", "module"), "nobody_has:It", ("modules.gmm.module: No Python module named",)),
        (("modules", "gmm", "component"), 3, ("modules.gmm.component: GMM takes no", "Did you mean 'components'?")),
        (("modules", "gmm"), {"module": "gmm"}, ("modules.gmm.components: GMM needs it",)),
        (("modules", "gmm", "components"), 0, ("modules.gmm.components: Expected components of at least 1; got 0.",)),
        (("modules", "gmm", "components"), "ten", ("modules.gmm.components: Expected an integer; got 'ten'.",)),
        (("modules", "gmm", "moves"), -1, ("modules.gmm.moves: Expected moves of 0, or more",)),
        (("modules", "gmm", "scale"), 0.0, ("modules.gmm.scale: Expected a positive scale",)),
        (("modules", "gmm", "partition"), [5, 6], ("modules.gmm.partition: ",)),
        (("modules", "vae", "kl_weight"), {"start": 0.1}, ("modules.vae.kl_weight: Expected a number or Ramp",)),
        # objects
        (
            ("modules", "vae", "encoder"),
            {"object": "Linear(...)"},
            ("modules.vae.encoder: Expected what can be made", "Linear(...)", "{call: "),
        ),
        (("modules", "vae", "encoder"), {"call": "json:laod"}, ("modules.vae.encoder.call: json has no 'laod'",)),
        (("modules", "vae", "encoder"), {"call": 3}, ("modules.vae.encoder.call: Expected 'package.module:name'",)),
        (
            ("modules", "vae", "encoder"),
            {"call": "math:pi"},
            ("modules.vae.encoder.call: Expected what can be called",),
        ),
        (("modules", "vae", "encoder"), {"call": "math:exp", "import": "a:b"}, ("Expected one of call, import",)),
        (("modules", "vae", "encoder"), {"import": "math:exp"}, ("modules.vae.encoder: Expected Module or null",)),
        (("modules", "vae", "optimiser"), {"import": "torch.optim:SGD", "lr": 1}, ("Expected import alone", "partial")),
        (("modules", "vae", "optimiser"), {"partial": "torch.optim:SGD", "lrr": 1}, ("optimiser.lrr", "'lr'?")),
        (
            ("modules", "vae", "encoder"),
            {"call": "torch.nn:Linear", "in_features": "x", "biass": True},
            ("3 problems", "encoder.in_features: Expected an integer", "encoder.biass", "encoder.out_features"),
        ),
        (
            ("modules", "vae", "encoder"),
            {"call": "torch.nn:Linear", "in_features": -1, "out_features": 2},
            ("modules.vae.encoder", "torch.nn:Linear ended in RuntimeError"),
        ),
        (("modules", "vae", "encoder"), {"call": "sys:exit"}, ("sys:exit ended in SystemExit",)),
        # wires
        (("wires", "vae.x"), "pixls", ("wires.vae.x: No module or observation is named", "Did you mean 'pixels'?")),
        (("wires", "vae.x"), "gmm.z", ("wires.vae.x: No Out port 'gmm.z'", "Out ports of gmm: gmm.c")),
        (("wires", "vae.x"), 3, ("wires.vae.x: Expected what comes from below", "got 3")),
        (("wires", "vae.x"), None, ("wires.vae.x: Expected what comes from below", "got None")),
        (("wires", "vae.y"), "pixels", ("wires.vae.y: No In port 'vae.y'.", "In ports of vae: vae.x")),
        (("wires", "vae.x.sound"), "pixels", ("wires.vae.x.sound: Expected vae.x; got 'vae.x.sound'",)),
        (("wires", "pixels.value"), "vae.z", ("No In port 'pixels.value'.",)),
        (("wires", "gmm"), "vae.z", ("wires.gmm: No In port 'gmm'", "Did you mean 'gmm.x'?")),
        (("wires", "gmm.x"), "pixels.valu", ("No Out port 'pixels.valu'",)),
        (("wires", "gmm.x", "backwards"), False, ("wires.gmm.x.backwards", "Did you mean 'backward'?")),
        (("wires", "gmm.x", "backward"), 1, ("wires.gmm.x.backward: Expected true or false; got 1",)),
        (("wires", "gmm.x", "via"), 1, ("wires.gmm.x.via: Expected the name of a conversion",)),
        (("wires", "gmm.x", "via"), "meen", ("wires.gmm.x: Expected Gaussian", "via='meen'")),
        (("wires", "gmm.x"), "gmm.c", ("wires.gmm.x: ",)),
    ],
)
def test_what_makes_no_graph_is_refused_at_its_place(keys, value, parts):
    config = copy.deepcopy(BASE)
    inside = config
    for key in keys[:-1]:
        inside = inside[key]
    inside[keys[-1]] = value
    with refused(ConfigError, *parts):
        from_config(config)


def test_all_problems_come_at_once():
    config = override(
        BASE,
        ["gmm.components=ten", "gmm.strats=2", "vae.latent_dim=0", "wires.gmm.x.via=3", "pixels.dtype=uint9"],
    )
    config["wires"]["nothing.x"] = "vae.zz"
    with refused(ConfigError, "8 problems in the configuration:\n- ") as caught:
        from_config(config, {"sound": np.zeros((2, 2))})
    places = [problem.split(": ")[0] for problem in caught.value.problems]
    assert places == [
        "observations.pixels.dtype",
        "data",
        "modules.vae.latent_dim",
        "modules.gmm.components",
        "modules.gmm.strats",
        "wires.gmm.x.via",
        "wires.nothing.x",
        "wires.nothing.x",
    ]


def test_data_that_do_not_fit_are_problems_too():
    with refused(ConfigError, "observations.pixels", "event_shape (16,); got (4,)"):
        from_config(BASE, {"pixels": np.zeros((3, 4), dtype=np.uint8)})
    with refused(ConfigError, "observations.pixels", "NaN or infinity"):
        from_config(BASE, {"pixels": np.full((3, 16), np.nan)})
    with refused(ConfigError, "data: No observation is named 'pixls'", "Did you mean 'pixels'?"):
        from_config(BASE, {"pixls": np.zeros((3, 16))})


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def places(value, path=()):
    """The keys that lead to every value inside."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, one in value.items():
            yield from places(one, (*path, key))
    elif isinstance(value, list):
        for key, one in enumerate(value):
            yield from places(one, (*path, key))


FULL = copy.deepcopy(BASE)
FULL["modules"]["vae"] |= {
    "kl_weight": {"call": "pgmgraph_modules.vae:Ramp", "start": 0.5, "end": 1.0, "rounds": 2},
    "optimiser": {"partial": "torch.optim:SGD", "lr": 0.01},
    "decoder": {"call": "torch.nn:Sequential", "args": [{"call": "torch.nn:Identity"}]},
}
FULL["wires"]["gmm.x"] |= {"backward": False, "via": None}
PLACES = list(places(FULL))


@settings(deadline=None, derandomize=True, max_examples=150)
@given(place=st.sampled_from(PLACES), value=plain, name=st.none() | st.text(max_size=4))
def test_any_change_makes_a_graph_or_a_configerror(place, value, name):
    """A value is replaced, or its key; then what is made comes back as itself."""
    config = copy.deepcopy(FULL)
    inside = config
    for key in place[:-1]:
        inside = inside[key]
    if name is None or isinstance(inside, list):
        inside[place[-1]] = value
    else:
        inside[name] = inside.pop(place[-1])
    with contextlib.suppress(ConfigError):
        once = to_config(from_config(config))
        assert to_config(from_config(once)) == once


@settings(deadline=None, derandomize=True, max_examples=50)
@given(config=plain)
def test_anything_at_all_makes_a_graph_or_a_configerror(config):
    with contextlib.suppress(ConfigError):
        from_config(config)
