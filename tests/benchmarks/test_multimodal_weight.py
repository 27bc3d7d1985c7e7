"""The choice of a weight without labels, in tiny."""

import math

from benchmarks.multimodal_spoken import load
from benchmarks.multimodal_weight import compared


def test_sounds_that_count_foretell_images_better_than_those_that_hardly_do() -> None:
    data = load(quick=True)
    assert data is not None
    heard, unheard = (compared(data, weight) for weight in (1.0, 1e-6))
    column = "log p(image given sound)"
    assert math.isfinite(float(str(unheard[column])))
    assert float(str(heard[column])) > float(str(unheard[column]))
