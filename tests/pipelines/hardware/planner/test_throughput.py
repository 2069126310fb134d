"""The roofline: which way each number moves a step's time."""

from dataclasses import replace

import pytest
from planning import PROFILE

from components.profile import Kernel, Size
from pipelines.hardware import catalog
from pipelines.hardware.planner import throughput
from pipelines.hardware.planner.efficiency import EFFICIENCIES, mostly_products
from pipelines.hardware.planner.throughput import Chip

CHIP = Chip("gpu", "half", 100e12, 1e12)


def seconds(chip: Chip, batch: int = 256) -> float:
    return throughput.step(PROFILE, "mixed_bfloat16", batch, chip).seconds


@pytest.mark.parametrize(
    "faster",
    [{"flops": 200e12}, {"bandwidth": 2e12}, {"count": 2, "link": 600e9}],
    ids=["more FLOP/s", "more bandwidth", "two chips"],
)
def test_a_better_chip_is_faster(faster: dict[str, float]) -> None:
    assert seconds(replace(CHIP, **faster)) < seconds(CHIP)


def test_a_slow_link_makes_several_chips_slower_than_one() -> None:
    assert seconds(replace(CHIP, count=2, link=1e8)) > seconds(CHIP)


def test_the_parts_of_a_step_add_up() -> None:
    step = throughput.step(PROFILE, "mixed_bfloat16", 256, replace(CHIP, count=4, link=300e9))
    assert step.seconds == pytest.approx(step.compute + step.memory + step.launch + step.exchange)
    assert step.rate == pytest.approx(256 / step.seconds)
    assert min(step.compute, step.memory, step.launch, step.exchange) > 0


@pytest.mark.parametrize(
    ("sides", "tile", "share"),
    [
        ((64, 64), 64, 1.0),
        ((32, 64), 64, 0.5),
        ((65, 64), 64, 65 / 128),
        ((4, 36), 64, 4 * 36 / 64**2),
        ((0, 0), 64, 1),
    ],
)
def test_narrow_products_leave_part_of_a_tile_empty(sides: tuple[int, int], tile: int, share: float) -> None:
    assert throughput.tile_utilization(sides, tile) == pytest.approx(share)


@pytest.mark.parametrize(("p", "value"), [(1.0, 7.0), (2.0, 5.0), (100.0, 4.0)])
def test_arithmetic_and_traffic_overlap_as_far_as_p_says(p: float, value: float) -> None:
    assert throughput.norm(3.0, 4.0, p) == pytest.approx(value)


@pytest.mark.parametrize("values", [(0.0, 2.0), (2.0, 0.0)])
def test_a_kernel_without_one_of_them_takes_the_other(values: tuple[float, float]) -> None:
    assert throughput.norm(*values, 2.0) == 2.0


@pytest.mark.parametrize(
    ("name", "precision", "unit", "flops"),
    [
        ("a100-40g", "float32", "tf32", 156e12),
        ("v100", "float32", "float32", 15.7e12),
        ("v100", "mixed_float16", "half", 125e12),
        ("v5e-1", "float32", "half", 197e12),
        ("cpu-8", "float32", "float32", 0.8 * 320e9),
        ("t4", "mixed_float16", "half", 0.75 * 65e12),
    ],
)
def test_float32_is_computed_as_the_hardware_and_the_frameworks_do(
    name: str, precision: str, unit: str, flops: float
) -> None:
    chip = Chip.from_row(catalog.load()[name], precision)
    assert (chip.unit, chip.flops) == (unit, flops)


def test_every_row_has_an_efficiency_for_each_of_its_precisions() -> None:
    for row in catalog.load().values():
        for precision in row.precisions:
            assert throughput.step(PROFILE, precision, 256, Chip.from_row(row, precision)).rate > 0, (
                row.name,
                precision,
            )


def test_all_reduce_sends_twice_what_the_other_chips_need() -> None:
    chip = replace(CHIP, count=4, link=400e9)
    efficiency = EFFICIENCIES["gpu"]
    wanted = 2 * 3 / 4 * 4 * PROFILE.trainable / (200e9 * efficiency.exchange)
    assert throughput.all_reduce(PROFILE, chip, efficiency) == pytest.approx(wanted)


def test_the_model_class_is_found_in_the_graph() -> None:
    step = PROFILE.step("mixed_bfloat16")
    assert not mostly_products(step)
    products = (Kernel("matmul", 1, Size(0, 6e9), Size(), (512, 512)),)
    assert mostly_products(replace(step, flops=Size(0, 6e9), fused=products))
