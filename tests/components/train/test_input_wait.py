import time
from typing import Any

import pytest

from components.train import input_wait


def batches(seconds: float = 0.0) -> Any:
    import tensorflow as tf

    def slow(number: Any) -> Any:
        time.sleep(seconds)
        return number

    data = tf.data.Dataset.range(51)
    if seconds:
        data = data.map(lambda number: tf.ensure_shape(tf.numpy_function(slow, [number], tf.int64), ()))
    pairs = data.map(lambda number: ({"image": tf.fill([2], number)}, number))
    return pairs.apply(tf.data.experimental.assert_cardinality(51)).prefetch(2)


@pytest.mark.parametrize("deterministic", [False, True])
def test_the_batches_are_the_same_in_the_same_order(deterministic: bool) -> None:
    import tensorflow as tf
    from tensorflow.python.framework import config

    if deterministic:
        tf.config.experimental.enable_op_determinism()
    try:
        data, noted = batches(), list[float]()
        timed = input_wait.measured(data, noted.append)
        assert timed.element_spec == data.element_spec and int(timed.cardinality()) == 51
        for (inputs, target), (same, too) in zip(data, timed, strict=True):
            assert (inputs["image"].numpy() == same["image"].numpy()).all() and target == too
        assert len(noted) == 3 and all(seconds >= 0 for seconds in noted)
    finally:
        if deterministic:
            config.disable_op_determinism()


def test_a_slow_input_is_waited_for_and_a_quick_one_is_not() -> None:
    waited = {}
    for name, seconds, work in (("slow", 0.01, 0.0), ("quick", 0.0005, 0.01)):
        noted: list[float] = []
        data = iter(input_wait.measured(batches(seconds), noted.append))
        began = time.monotonic()
        for _ in data:
            time.sleep(work)
        waited[name] = sum(noted) / (time.monotonic() - began)
    assert waited["slow"] > 0.7 and waited["quick"] < 0.3, waited


def test_a_graph_that_asks_for_many_batches_at_once_is_timed_too() -> None:
    import tensorflow as tf

    noted: list[float] = []

    @tf.function
    def all_of(iterator: Any) -> Any:
        total = tf.constant(0, tf.int64)
        for _ in tf.range(51):
            total += next(iterator)[1]
        return total

    assert all_of(iter(input_wait.measured(batches(0.002), noted.append))) == sum(range(51))
    assert sum(noted) > 0.05
