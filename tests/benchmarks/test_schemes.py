"""The tables of what is compared: every scheme can be made, is told apart from all others, and survives JSON."""

import json
import re

import pytest

from benchmarks.schemes import SETTINGS, Scheme, Setting, gently, plan, quick
from pgmgraph_modules.gmm import GMM
from pgmgraph_modules.vae import VAE, Ramp

EVERY = [(setting, scheme) for setting in SETTINGS.values() for scheme in setting.schemes]
NAMES = [f"{setting.name}-{scheme.name}" for setting, scheme in EVERY]


def planned(setting, scheme, seed=3, n=500):
    return plan(setting, scheme, seed, "mnist", n)


@pytest.mark.parametrize(("setting", "scheme"), EVERY, ids=NAMES)
@pytest.mark.parametrize("tiny", [False, True], ids=["whole", "quick"])
def test_the_modules_take_the_arguments_of_every_scheme(setting, scheme, tiny):
    if tiny:
        setting = quick(setting)
        [scheme] = [one for one in setting.schemes if one.name == scheme.name]
    made = planned(setting, scheme)
    VAE(**made.vae)
    GMM(**made.gmm)
    assert made.fit["rounds"] >= 1


@pytest.mark.parametrize(("setting", "scheme"), EVERY, ids=NAMES)
def test_a_plan_is_the_same_after_it_was_written_and_read(setting, scheme):
    recorded = planned(setting, scheme).recorded()
    assert json.loads(json.dumps(recorded)) == recorded


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=list(SETTINGS))
def test_schemes_of_a_setting_have_names_fit_for_files_and_differ_in_more_than_their_names(setting):
    names = [scheme.name for scheme in setting.schemes]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in names)
    plans = [{**planned(setting, scheme).recorded(), "scheme": ""} for scheme in setting.schemes]
    assert all(plans.index(one) == number for number, one in enumerate(plans))


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=list(SETTINGS))
def test_the_control_gets_no_messages_and_has_its_latents_given_to_scikit_learn_too(setting):
    [control] = [scheme for scheme in setting.schemes if scheme.name == "control"]
    assert not control.backward
    assert control.peer


def test_classes_of_one_size_are_assumed_unless_a_scheme_says_otherwise():
    setting = Setting("some", "", None, {}, {"starts": 7}, {}, ())
    assert planned(setting, Scheme("plain"), n=500).gmm == {"components": 10, "concentration": 50.0, "starts": 7}
    flat = planned(setting, Scheme("flat", gmm={"concentration": 1.0, "starts": 1}), n=500).gmm
    assert flat == {"components": 10, "concentration": 1.0, "starts": 1}


def test_what_a_scheme_says_goes_before_what_its_setting_and_what_gentleness_say():
    setting = Setting("some", "", None, {"batch_size": 500, "latent_dim": 2}, {}, {"rounds": 5}, ())
    made = planned(setting, gently(Scheme("long", vae={"first_epochs": 9}, fit={"restarts": 3})))
    assert made.scheme == "gently-long"
    assert made.vae["first_epochs"] == 9
    assert made.vae["batch_size"] == 100
    assert made.vae["latent_dim"] == 2
    assert isinstance(made.vae["kl_weight"], Ramp)
    assert made.fit == {"rounds": 41, "restarts": 3}
