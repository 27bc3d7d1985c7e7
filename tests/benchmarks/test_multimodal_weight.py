"""The choice of a weight without labels, in tiny."""

import math

from benchmarks.multimodal import synthetic
from benchmarks.multimodal_weight import compared


def test_sounds_that_count_foretell_images_better_than_those_that_hardly_do() -> None:
    heard, unheard = compared(synthetic(), 1.0), compared(synthetic(), 1e-6)
    column = "log p(image given sound)"
    assert math.isfinite(float(str(unheard[column])))
    assert float(str(heard[column])) > float(str(unheard[column]))
