import pytest

from components.train.settings import count_steps


@pytest.mark.parametrize(
    ("count", "batch", "most", "whole", "steps"),
    [
        (100, 30, 0, True, 3),
        (100, 30, 0, False, 4),
        (100, 30, 2, True, 2),
        (100, 30, 99, True, 3),
        (100, 100, 1000, False, 1),
    ],
)
def test_steps_are_the_split_or_the_limit(count: int, batch: int, most: int, whole: bool, steps: int) -> None:
    assert count_steps(count, batch, most, whole_batches=whole) == steps
