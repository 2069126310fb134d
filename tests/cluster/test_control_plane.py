"""The control plane itself: on loopback only, and gone with whoever started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import binaries
import pytest
from api import PATHS, Api, eventually, names
from control_plane import ControlPlane, running

HERE = Path(__file__).parent
# The states of sockets that take what others send: TCP's LISTEN, and UDP without a peer.
LISTENING = {"tcp": "0A", "udp": "07"}
LOOPBACKS = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


def listening(pid: int) -> dict[str, str]:
    """Inode -> address, as the kernel writes it, of the sockets that a process listens on."""
    inodes = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        target = str(link.readlink())
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    found = {}
    for protocol, state in LISTENING.items():
        for version in ("", "6"):
            for line in Path(f"/proc/{pid}/net/{protocol}{version}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == state and fields[9] in inodes:
                    found[fields[9]] = fields[1].split(":")[0]
    return found


def test_nothing_listens_beyond_loopback(plane: ControlPlane) -> None:
    addresses = {name: set(listening(process.pid).values()) for name, process in plane.processes.items()}
    assert addresses["kube-apiserver"] and addresses["etcd"]
    assert {name: found - LOOPBACKS for name, found in addresses.items() if found - LOOPBACKS} == {}


def test_keys_and_tokens_are_readable_by_their_owner_only(plane: ControlPlane) -> None:
    secret = [path for pattern in ("*.key", "*.csv", "*.kubeconfig") for path in plane.folder.glob(pattern)]
    assert len(secret) >= 5
    assert [path.name for path in secret if path.stat().st_mode & 0o077] == []


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


STARTER = """
import sys, time
from pathlib import Path
import control_plane
with control_plane.running(Path(sys.argv[1]), Path(sys.argv[2])) as plane:
    print(*(process.pid for process in plane.processes.values()), flush=True)
    if sys.argv[3] == "raise":
        raise RuntimeError("a test that fails")
    if sys.argv[3] == "exit":
        sys.exit(3)
    time.sleep(60)
"""


@pytest.mark.parametrize("ending", ["raise", "exit", "interrupt", "killed"])
def test_everything_ends_with_whoever_started_it(ending: str, programs: Path, tmp_path: Path) -> None:
    paths = os.pathsep.join([str(HERE / "support"), str(HERE.parent / "support")])
    environ: dict[str, Any] = {**os.environ, "PYTHONPATH": paths}
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(programs), str(tmp_path), ending],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environ,
        text=True,
    )
    assert starter.stdout
    with starter:
        pids = [int(word) for word in starter.stdout.readline().split()]
        assert len(pids) == len(binaries.PROGRAMS)
        if ending == "interrupt":
            starter.send_signal(signal.SIGINT)
        if ending == "killed":
            starter.kill()
    eventually(lambda: [pid for pid in pids if alive(pid)], lambda left: not left, timeout=10)


def test_a_given_cluster_is_used_and_left_as_it_was(programs: Path, tmp_path: Path) -> None:
    """Tests that make nodes, pods and definitions, and one that wants processes, in a pytest of their own."""
    files = [str(HERE / f"test_{name}.py") for name in ("overlays", "refusals", "control_plane")]
    chosen = ("-k", "misspelt or pool_grows or readable_by_their_owner")
    with running(programs, tmp_path) as plane:
        api = Api(plane.kubeconfig())
        before = kept(api)
        environ = {**os.environ, "SUANLI_TEST_KUBECONFIG": str(api.kubeconfig)}
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *files, *chosen]
        done = subprocess.run(command, cwd=binaries.ROOT, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
        assert "9 passed, 1 skipped" in done.stdout and "SUANLI_TEST_KUBECONFIG has no processes here" in done.stdout
        eventually(lambda: kept(api), lambda left: left == before)


def kept(api: Api) -> set[str]:
    """What a cluster has beside namespaced objects."""
    return set().union(*(names(api.items(PATHS[kind])) for kind in ("Namespace", "Node", "CustomResourceDefinition")))


def test_a_program_that_cannot_start_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    script = programs / "etcd"
    script.write_text("#!/bin/sh\necho the disk is full\nexit 7\n")
    script.chmod(0o755)
    (programs / "kube-apiserver").symlink_to("/bin/sleep")
    began = time.monotonic()
    with pytest.raises(RuntimeError, match=r"(?s)etcd ended with 7:\nthe disk is full"), running(programs, tmp_path):
        pass
    assert time.monotonic() - began < 10


def test_the_cache_folder_follows_the_versions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(binaries.GIVEN, raising=False)
    monkeypatch.setenv("SUANLI_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(binaries, "MODULES", tmp_path)
    (tmp_path / "go.mod").write_text("require a v1\n")
    first = binaries.folder()
    assert binaries.folder() == first and first.parent == tmp_path / "cache/control-plane"
    (tmp_path / "go.mod").write_text("require a v2\n")
    assert binaries.folder() != first
    monkeypatch.setenv(binaries.GIVEN, str(tmp_path))
    assert binaries.folder() == tmp_path and "bin/etcd" in binaries.missing()


def test_without_go_the_build_says_so_in_a_line(tmp_path: Path) -> None:
    environ = {"PATH": str(tmp_path), binaries.GIVEN: str(tmp_path / "cache")}
    found = subprocess.run(
        [sys.executable, str(HERE / "support/binaries.py")], env=environ, capture_output=True, text=True
    )
    assert found.returncode == 1 and found.stdout == ""
    assert found.stderr.startswith("error: no go on the PATH") and found.stderr.count("\n") == 1
