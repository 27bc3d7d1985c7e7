"""The example of a stream learns from a folder while it is being filled."""

from collections.abc import Callable


def test_a_mixture_learns_from_a_folder_that_is_being_filled(printed: Callable[..., str]) -> None:
    lines = printed("stream_of_digits").splitlines()
    assert [int(line.split()[0]) for line in lines] == [500, 750, 1000, 1250, 1500]
    assert float(lines[-1].split()[3]) > 0.6
    foretold = [float(line.split()[5]) for line in lines[1:]]
    assert foretold[-1] > foretold[0]  # what was learnt says more of what comes
