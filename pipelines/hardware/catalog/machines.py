"""Compute Engine's machine types: their size, and their price without accelerators."""

from typing import NamedTuple


class Machine(NamedTuple):
    """A machine type.

    Attributes:
        vcpus: threads.
        memory_gib: memory in GiB.
        on_demand: USD an hour in us-central1, without GPUs; None without a source. The price of a TPU machine is part
            of its chips'.
        spot: the same for spot capacity.
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
    **_linear("e2-standard-{}", (4, 8, 16, 32), 1, 4, (0.033506, 0.019338)),
    **_linear("n1-standard-{}", (4, 8, 16, 32, 64), 1, 3.75, (0.0475, 0.015956)),
    **_linear("g2-standard-{}", (4, 8, 12, 16, 24, 32, 48, 96), 1, 4, (0.036698, 0.018754)),
    **_linear("g4-standard-{}", (48, 96, 192, 384), 1, 3.75, (0.0709225, 0.028365)),
    **_linear("a2-highgpu-{}g", (1, 2, 4, 8), 12, 85, (0.73948, 0.38812)),
    "a2-megagpu-16g": Machine(96, 1360, 8.79698, 4.61728),
    **_linear("a2-ultragpu-{}g", (1, 2, 4, 8), 12, 170, (1.09962, 0.57716)),
    **_linear("a3-highgpu-{}g", (1, 2, 4, 8), 26, 234, (1.18251, 0.64454)),
    "a3-megagpu-8g": Machine(208, 1872, 9.46006, 5.15632),
    "a3-ultragpu-8g": Machine(224, 2952, 12.266, 6.68552),
    # The price of a B200 in the source seems to be that of the whole machine: its own row has 0.
    "a4-highgpu-8g": Machine(224, 3968, 0.0, 0.0),
    "ct4p-hightpu-4t": Machine(240, 407),
    "ct5lp-hightpu-1t": Machine(24, 48),
    "ct5lp-hightpu-4t": Machine(112, 192),
    "ct5lp-hightpu-8t": Machine(224, 384),
    "ct5p-hightpu-4t": Machine(208, 448),
    "ct6e-standard-1t": Machine(44, 176),
    "ct6e-standard-4t": Machine(180, 720),
    "ct6e-standard-8t": Machine(180, 1440),
}
