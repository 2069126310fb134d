"""Memory: what is added up, and that the largest batch is the largest."""

import pytest
from planning import PROFILE, job

from pipelines.hardware import catalog
from pipelines.hardware.planner import memory

ROWS = catalog.load()


@pytest.mark.parametrize("name", ["t4", "a100-80gx8", "v5e-4", "cpu-16"])
def test_the_largest_batch_fits_and_the_next_does_not(name: str) -> None:
    row, work = ROWS[name], job()
    most = memory.largest_batch(work, row, "float32")
    assert most and most % row.count == 0
    assert memory.needed(work, row, "float32", most).total <= memory.limit(row)
    assert memory.needed(work, row, "float32", most + row.count).total > memory.limit(row)


@pytest.mark.parametrize(("optimizer", "slots"), [("adam", 2), ("adamw", 2), ("sgd", 1)])
def test_each_optimizer_keeps_its_slots(optimizer: str, slots: int) -> None:
    holds = memory.needed(job(optimizer=optimizer), ROWS["l4"], "float32")
    assert holds.slots == slots * 4 * PROFILE.trainable


def test_gradients_take_the_place_of_activations() -> None:
    small = memory.needed(job(), ROWS["l4"], "float32", 1)
    assert small.total < small.variables + small.slots + small.gradients + small.activations + small.runtime
    assert small.total >= small.variables + small.slots + small.gradients + small.runtime


def test_a_cpu_holds_the_data_too_where_they_are_held() -> None:
    row = ROWS["cpu-16"]
    held = job(examples=10_000)
    assert memory.needed(held, row, "float32").data == 10_000 * 64 * 64 * 3
    assert memory.needed(job(examples=10_000_000), row, "float32").data == 0
    assert memory.needed(held, ROWS["l4"], "float32").data == 0


def test_a_model_too_large_for_a_chip_has_no_batch() -> None:
    huge = job(profile=PROFILE.__class__(**{**PROFILE.__dict__, "parameters": 10**10, "trainable": 10**10}))
    assert memory.largest_batch(huge, ROWS["l4"], "float32") == 0
