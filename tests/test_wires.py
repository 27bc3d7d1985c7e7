"""What a wire says of the variable on it."""

from pgmgraph import Categorical, CategoricalPotential, Gaussian, GaussianEvidence, GaussianPotential, Wire


def wire(key: str | None = None, back: bool = True, backward: bool = True) -> Wire:
    sends = GaussianPotential if back else None
    return Wire("vae", "z", "gmm", "x", key, Gaussian, sends, None, backward, held_by_parent=False)


def test_names() -> None:
    assert wire().variable == "vae.z"
    assert wire().target == "gmm.x"
    assert wire(key="sound").target == "gmm.x.sound"


def test_the_wiring_alone_decides_who_owns_the_prior() -> None:
    assert wire().owned_by_parent
    assert wire(backward=False).owned_by_parent
    assert not wire(back=False).owned_by_parent


def test_what_goes_back() -> None:
    assert wire().sends_back
    assert not wire(backward=False).sends_back
    assert not wire(back=False).sends_back
    held = Wire("gmm", "c", "hmm", "c", None, CategoricalPotential, Categorical, None, True, held_by_parent=True)
    assert held.sends_back


def test_evidence_goes_back_and_leaves_the_prior_to_the_child() -> None:
    evidence = Wire("vae", "z", "classifier", "z", None, Gaussian, GaussianEvidence, None, True, held_by_parent=False)
    assert evidence.sends_back
    assert not evidence.owned_by_parent
