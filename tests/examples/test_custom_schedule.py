"""The example of schedules runs, and updates as often as each schedule says."""

from collections.abc import Callable


def test_each_schedule_has_a_row_with_its_numbers_of_updates(printed: Callable[..., str]) -> None:
    lines = printed("custom_schedule", images=1000).splitlines()[1:]
    rows = {line[:12].strip(): line[12:].split() for line in lines}
    updates = {name: (int(row[0]), int(row[1])) for name, row in rows.items()}
    assert updates == {"bottom_up": (8, 8), "a list": (8, 16), "a function": (8, 14), "one stage": (8, 8)}
    assert all(0.3 < float(row[3]) <= 1 for row in rows.values())
