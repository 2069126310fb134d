"""Compute Engine's machine types: their size, and their price without accelerators."""

from typing import NamedTuple


class Machine(NamedTuple):
    """A machine type.

    Attributes:
        vcpus: threads.
        memory_gib: memory in GiB.
        on_demand: USD an hour in us-central1, without GPUs; None where no source was read. TPU machines are in the
            price of their chips.
        spot: the same as spot capacity.
    """

    vcpus: int
    memory_gib: float
    on_demand: float | None = None
    spot: float | None = None


def _linear(
    name: str, sizes: tuple[int, ...], vcpus: int, memory_gib: float, usd: tuple[float | None, float | None]
) -> dict[str, Machine]:
    """A family whose sizes are multiples: ``name`` formats the size; the other arguments are for size 1."""
    on_demand, spot = usd
    return {
        name.format(size): Machine(
            size * vcpus,
            size * memory_gib,
            None if on_demand is None else round(size * on_demand, 5),
            None if spot is None else round(size * spot, 5),
        )
        for size in sizes
    }


MACHINES: dict[str, Machine] = {
    **_linear("e2-standard-{}", (4, 8, 16, 32), 1, 4, (0.03351, None)),
    # vCPU 0.031611, GiB 0.004237.
    **_linear("n1-standard-{}", (4, 8, 16, 32, 64), 1, 3.75, (0.0475, None)),
    # vCPU 0.024988, GiB 0.002927.
    **_linear("g2-standard-{}", (4, 8, 12, 16, 24, 32, 48, 96), 1, 4, (0.036696, None)),
    **_linear("g4-standard-{}", (48, 96, 192, 384), 1, 3.75, (None, None)),
    **_linear("a2-highgpu-{}g", (1, 2, 4, 8), 12, 85, (0.73948, 0.36975)),
    # The same two prices for a vCPU and a GiB as a2-highgpu.
    "a2-megagpu-16g": Machine(96, 1360, 8.79698, 4.39849),
    **_linear("a2-ultragpu-{}g", (1, 2, 4, 8), 12, 170, (1.09962, 0.54978)),
    **_linear("a3-highgpu-{}g", (1, 2, 4, 8), 26, 234, (1.18251, 0.36117)),
    "a3-megagpu-8g": Machine(208, 1872, 9.46008, 2.88936),
    "a3-ultragpu-8g": Machine(224, 2952, 10.31298, None),
    "a4-highgpu-8g": Machine(224, 3968),
    "ct4p-hightpu-4t": Machine(240, 407),
    "ct5lp-hightpu-1t": Machine(24, 48),
    "ct5lp-hightpu-4t": Machine(112, 192),
    "ct5lp-hightpu-8t": Machine(224, 384),
    "ct5p-hightpu-4t": Machine(208, 448),
    "ct6e-standard-1t": Machine(44, 176),
    "ct6e-standard-4t": Machine(180, 720),
    "ct6e-standard-8t": Machine(180, 1440),
}
