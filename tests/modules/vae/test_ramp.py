"""Ramps."""

from pgmgraph_modules.vae import Ramp


def test_a_ramp_goes_in_equal_steps_and_stays_at_its_end():
    ramp = Ramp(0.2, 1.0, rounds=4)
    assert [round(ramp.at(number), 10) for number in range(6)] == [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]
