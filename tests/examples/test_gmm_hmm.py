"""The example of sequences runs without its data set, and time raises accuracy and F."""

from collections.abc import Callable


def test_the_models_that_know_time_come_out_ahead(printed: Callable[..., str]) -> None:
    rows = {line[:10].strip(): line[10:].split() for line in printed("gmm_hmm").splitlines()}
    found = {name: (float(row[1]), float(row[3])) for name, row in rows.items()}
    assert set(found) == {"GMM", "GMM + HMM", "HMM"}
    assert found["GMM + HMM"][0] == found["HMM"][0] == 1.0
    assert found["GMM"][0] < 1.0
    assert found["GMM"][1] + 90 < found["GMM + HMM"][1]
