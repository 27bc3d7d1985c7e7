"""The examples of stacked topic models, on the data that they draw where there are none."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "said"), [("mlda_objects", "sound from the others"), ("lda_chain", "chain [")])
def test_it_runs_on_data_of_its_own(name, said, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PGMGRAPH_DATA", str(tmp_path))
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main()
    printed = capsys.readouterr().out
    assert "synthetic" in printed
    assert said in printed
