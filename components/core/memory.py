"""How much memory there is: this container's, and a device's as its backend tells it."""

import os
from contextlib import suppress
from pathlib import Path

from components.core.devices import Device

CGROUP = Path("/sys/fs/cgroup")
LISTED = Path("/proc/self/cgroup")


def of(device: Device) -> int:
    """The memory of one device in bytes; 0 where its backend does not tell (TensorFlow's GPU)."""
    if device.kind == "cpu":
        return host()
    # An accelerator in trouble must not hide the trouble behind a question about itself.
    with suppress(Exception):
        if device.backend == "jax":
            import jax

            return int((jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 0))
        if device.backend == "torch":
            import torch

            return int(torch.cuda.mem_get_info()[1])
    return 0


def host() -> int:
    """The memory that this process may use, in bytes: the machine's, cut by its control group's limit."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # absent, or "max"
            there = min(there, int((group() / name).read_text()))
    return there


def kills() -> int | None:
    """How many processes the kernel has killed for want of memory: of this control group; of the whole machine where
    the group does not count; None where nobody does."""
    for path in (group() / "memory.events", group() / "memory.oom_control", Path("/proc/vmstat")):
        with suppress(OSError, StopIteration, ValueError):
            lines = path.read_text().splitlines()
            return int(next(line for line in lines if line.startswith("oom_kill ")).split()[1])
    return None


def group() -> Path:
    """The folder of this process's control group for memory, version 1 or 2."""
    try:
        lines = [line.split(":", 2) for line in LISTED.read_text().splitlines()]
    except OSError:
        return CGROUP
    paths = {controllers: path for _, controllers, path in lines}
    base, path = (CGROUP / "memory", paths["memory"]) if "memory" in paths else (CGROUP, paths.get("", "/"))
    # In a container the path may be one of the machine outside.
    mine = base / path.lstrip("/")
    return mine if mine.is_dir() else base


def said(count: float) -> str:
    """Bytes as people say them."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} bytes"
