"""Single values are changed by name, and the configuration given stays as it was."""

from __future__ import annotations

import copy

import pytest

from pgmgraph.config import Plain, override
from pgmgraph.errors import ConfigError
from tests.refusals import refused

CONFIG: dict[str, Plain] = {
    "observations": {"pixels": {"event_shape": [784]}, "sound": None},
    "modules": {
        "vae": {"module": "vae", "latent_dim": 10, "hidden": [500, 300], "kl_weight": {"call": "a:Ramp", "start": 0.1}},
        "gmm": {"module": "gmm", "components": 10},
    },
    "wires": {"vae.x": "pixels", "gmm.x": "vae.z", "lda.x.sound": {"from": "sound"}},
}


@pytest.mark.parametrize(
    ("setting", "keys", "value"),
    [
        ("vae.latent_dim=16", ("modules", "vae", "latent_dim"), 16),
        ("vae.lr=1e-3", ("modules", "vae", "lr"), 0.001),
        ("modules.vae.lr = 1e-3", ("modules", "vae", "lr"), 0.001),
        ("vae.hidden=[20, 10]", ("modules", "vae", "hidden"), [20, 10]),
        ("vae.hidden.1=7", ("modules", "vae", "hidden", 1), 7),
        ("vae.kl_weight.start=0.5", ("modules", "vae", "kl_weight", "start"), 0.5),
        ("vae.kl_weight={call: 'a:B', c: 1}", ("modules", "vae", "kl_weight"), {"call": "a:B", "c": 1}),
        ("vae.send=mean", ("modules", "vae", "send"), "mean"),
        ("vae.send=a=b", ("modules", "vae", "send"), "a=b"),
        ("vae.first_epochs=", ("modules", "vae", "first_epochs"), None),
        ("pixels.scale=0.5", ("observations", "pixels", "scale"), 0.5),
        ("sound.plate=clips", ("observations", "sound", "plate"), "clips"),
        ("wires.gmm.x.backward=false", ("wires", "gmm.x"), {"from": "vae.z", "backward": False}),
        ("wires.gmm.x=pixels", ("wires", "gmm.x"), "pixels"),
        ("wires.lda.x.sound.via=mean", ("wires", "lda.x.sound"), {"from": "sound", "via": "mean"}),
    ],
)
def test_a_setting_changes_one_place(setting: str, keys: tuple[str | int, ...], value: Plain) -> None:
    before = copy.deepcopy(CONFIG)
    changed: object = override(CONFIG, [setting])
    assert before == CONFIG
    for key in keys:
        changed = changed[key]  # type: ignore[index]
    assert changed == value
    assert type(changed) is type(value)


def test_settings_follow_one_another() -> None:
    changed = override(CONFIG, ["gmm.components=3", "gmm.components=4"])
    assert changed["modules"]["gmm"] == {"module": "gmm", "components": 4}  # type: ignore[index,call-overload]
    assert override(CONFIG, []) == CONFIG


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("vae.latent_dim", ("Expected place=value",)),
        ("=3", ("Expected place=value",)),
        ("vea.lr=1", ("No module or observation named 'vea'", "Did you mean 'vae'?")),
        ("vae.kl_wieght.start=1", ("Nothing is at vae.kl_wieght", "Did you mean 'kl_weight'?")),
        ("vae.hidden.2=1", ("Nothing is at vae.hidden.2",)),
        ("vae.hidden.x=1", ("Nothing is at vae.hidden.x",)),
        ("vae.latent_dim.x=1", ("vae.latent_dim is 10",)),
        ("vae.hidden=[1", ("the value, line 1",)),
        ("vae.lr=.nan", ("got NaN",)),
        ("wires.gmm.y.backward=false", ("No wire ends there", "gmm.x")),
    ],
)
def test_what_names_no_place_is_refused(setting: str, parts: tuple[str, ...]) -> None:
    with refused(ConfigError, f"{setting}: ", *parts):
        override(CONFIG, [setting])


def test_all_settings_are_told_at_once() -> None:
    with refused(ConfigError, "2 problems", "vea.lr", "gmn.x") as caught:
        override(CONFIG, ["vea.lr=1", "gmm.components=3", "gmn.x=2"])
    assert len(caught.value.problems) == 2


@pytest.mark.parametrize("config", [{}, {"modules": 3}, {"modules": {"vae": 3}}, {"modules": None, "wires": []}])
def test_a_broken_configuration_is_refused_not_mended(config: dict[str, Plain]) -> None:
    for setting in ("vae.lr=1", "modules.vae.lr=1", "wires.a.x=1", "modules=2"):
        with pytest.raises(ConfigError):
            override(config, [setting])
