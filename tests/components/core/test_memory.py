import os
from pathlib import Path

import pytest

from components.core import memory
from components.core.devices import Device


def test_a_cpu_has_the_memory_of_its_machine_or_its_container() -> None:
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 2**28 < memory.of_host() <= there
    assert memory.of_device(Device("cpu", "CPU", 1, 2, "tensorflow", "float32", True)) == memory.of_host()


@pytest.mark.parametrize(
    ("listed", "names", "limit", "kills"),
    [
        ("0::/pod/one", {"pod/one/memory.max": "1048576", "pod/one/memory.events": "oom 3\noom_kill 2\n"}, 2**20, 2),
        ("0::/pod/one", {"memory.max": "max", "memory.events": "oom_kill 1\n"}, None, 1),
        (
            "9:pids:/\n4:memory:/a/b\n0::/",
            {
                "memory/a/b/memory.limit_in_bytes": "2097152",
                "memory/a/b/memory.oom_control": "under_oom 0\noom_kill 5\n",
            },
            2**21,
            5,
        ),
    ],
    ids=["version 2", "version 2 seen from inside", "version 1"],
)
def test_limits_and_kills_are_read_from_the_control_group(
    listed: str, names: dict[str, str], limit: int | None, kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in names.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "listed").write_text(listed)
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    monkeypatch.setattr(memory, "OWN_CGROUP", tmp_path / "listed")
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert (memory.of_host(), memory.oom_kills()) == (limit or there, kills)


@pytest.mark.parametrize(
    ("count", "said"), [(12, "12 bytes"), (2_500, "2.5 kB"), (7_000_000, "7.0 MB"), (16e9, "16.0 GB")]
)
def test_bytes_are_said_in_a_unit_of_their_size(count: float, said: str) -> None:
    assert memory.format_bytes(count) == said
