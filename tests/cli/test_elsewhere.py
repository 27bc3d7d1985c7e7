"""Options that say where modules run."""

from __future__ import annotations

import sys

import pytest

from pgmgraph.cli.elsewhere import executor_of
from pgmgraph.errors import ConfigError
from tests.refusals import refused


def test_nothing_said_is_this_process() -> None:
    with executor_of("serial", None, None, []) as executor:
        assert executor is None


def test_what_is_said_reaches_the_executor() -> None:
    pytest.importorskip("ray", reason="needs the extra `ray`")
    from pgmgraph.executors.ray import RayExecutor

    with executor_of("ray", None, ["gmm=4"], ["vae.gpu=1", "vae.cpu=2.5", "a.b.ram=3"]) as executor:
        assert isinstance(executor, RayExecutor)
        assert executor.shards == {"gmm": 4}
        assert executor.resources == {"vae": {"gpu": 1.0, "cpu": 2.5}, "a.b": {"ram": 3.0}}


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("rai", None, None, None), ("'rai'", "Did you mean 'ray'?")),
        (("serial", "auto", None, None), ("--executor ray with --address", "got serial")),
        (("serial", None, ["gmm=2"], None), ("with --shards",)),
        (("ray", None, ["gmm"], None), ("MODULE=N", "'gmm'")),
        (("ray", None, ["gmm=0"], None), ("from 1 on", "'gmm=0'")),
        (("ray", None, None, ["vae=1"]), ("MODULE.KIND=X", "'vae=1'")),
        (("ray", None, None, ["vae.gpu=much"]), ("'vae.gpu=much'",)),
        (("ray", None, None, ["vae.gpu=-1"]), ("'vae.gpu=-1'",)),
    ],
)
def test_what_cannot_be_meant_is_refused(
    arguments: tuple[str, str | None, list[str] | None, list[str] | None], parts: tuple[str, ...]
) -> None:
    if arguments[0] == "ray":
        pytest.importorskip("ray", reason="needs the extra `ray`")
    with refused(ConfigError, *parts), executor_of(*arguments):
        pass


def test_without_ray_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("pgmgraph.executors.ray")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)
    with refused(ConfigError, "pip install 'pgmgraph[ray]'"), executor_of("ray", None, None, None):
        pass
