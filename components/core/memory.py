"""Memory: of this container, and of a device if its backend reports it."""

import os
from contextlib import suppress
from pathlib import Path

from components.core.devices import Device

CGROUP = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def of_device(device: Device) -> int:
    """The bytes of one device; 0 if its backend does not report them (TensorFlow on a GPU)."""
    if device.kind == "cpu":
        return of_host()
    # The caller reports an error of the accelerator; an error of this query must not hide it.
    with suppress(Exception):
        if device.backend == "jax":
            import jax

            return int((jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", 0))
        if device.backend == "torch":
            import torch

            return int(torch.cuda.mem_get_info()[1])
    return 0


def of_host() -> int:
    """The bytes that this process may use: the machine's, at most its control group's limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # absent, or "max"
            total = min(total, int((cgroup() / name).read_text()))
    return total


def oom_kills() -> int | None:
    """How many processes the kernel has killed because memory ran out: in this control group, or on the whole machine
    if the group does not count them; None if neither does."""
    for path in (cgroup() / "memory.events", cgroup() / "memory.oom_control", Path("/proc/vmstat")):
        with suppress(OSError, StopIteration, ValueError):
            lines = path.read_text().splitlines()
            return int(next(line for line in lines if line.startswith("oom_kill ")).split()[1])
    return None


def cgroup() -> Path:
    """The folder of this process's control group for memory, version 1 or 2."""
    try:
        lines = [line.split(":", 2) for line in OWN_CGROUP.read_text().splitlines()]
    except OSError:
        return CGROUP
    paths = {controllers: path for _, controllers, path in lines}
    base, path = (CGROUP / "memory", paths["memory"]) if "memory" in paths else (CGROUP, paths.get("", "/"))
    # In a container the path may be one of the machine outside.
    own = base / path.lstrip("/")
    return own if own.is_dir() else base


def format_bytes(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} bytes"
