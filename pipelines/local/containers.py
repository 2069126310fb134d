"""A step in a container: what it may see and use, and how kfp.local runs it."""

import codecs
import os
import resource
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import docker
from kfp import local
from kfp.local import docker_task_handler

from components import data as data_sources
from components.core import project
from components.steps import STEPS
from components.storage import is_remote
from pipelines.local import container_engine
from pipelines.local.subprocesses import step_of
from pipelines.runs import failure
from pipelines.runs.folder import Run

HOME = "/home/suanli"
# Big files go to TMPDIR, which is in the run's folder; what packages write elsewhere is small.
TMPFS = dict.fromkeys(("/tmp", HOME), "mode=1777,size=256m")
SHARED_MEMORY = "1g"
MOST_FILES = 2**20
# The caller's variables that affect numbers and devices; a step sees no others.
PASSED = ("TF_", "XLA_", "KERAS_", "JAX_", "OMP_", "NPROC")
# Passed to a step that has the network.
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
# Settings of a data source that may name a folder or file of the user.
PATH_SETTINGS = ("folder", "directory", "file", "path")


def runner(run: Run, record: Mapping[str, Any]) -> Any:
    """kfp's runner for containers, with our own function to run one.

    kfp 2.17 lets the engine remove a container before it asks for the exit status, and takes a container that is gone
    for a success (kubeflow/pipelines#13332).
    """
    # A run that was killed together with its reaper left its container at work.
    container_engine.end_containers(os.environ["DOCKER_HOST"].removeprefix(container_engine.UNIX), str(run.folder))
    docker_task_handler.run_docker_container = partial(_run, run, record)
    return local.DockerRunner()


def _run(
    run: Run,
    record: Mapping[str, Any],
    *,
    command: list[str],
    environment: Mapping[str, str] | None = None,
    **_: Any,
) -> int:
    """Run one step's container to its end, print what it prints, remove it, and return its exit status."""
    # A step may be silent for hours, so no time limit for an answer.
    client = docker.from_env(timeout=None)
    step = step_of(command)
    try:
        options = {**isolation(client.info()), **access(step, run, record)}
        options["environment"] = {**(environment or {}), **options["environment"]}
        container = client.containers.create(record["image_ids"][step], command, **options)
        try:
            container.start()
            for line in lines(container.logs(stream=True, follow=True)):
                print(line)
            status = int(container.wait()["StatusCode"])
            container.reload()
            out_of_memory = bool(container.attrs["State"].get("OOMKilled"))
        finally:
            container.remove(force=True)
    except (docker.errors.DockerException, OSError) as error:
        print(f"error: the container engine: {' '.join(str(error).split())}")
        return 1
    finally:
        client.close()
    # Where the whole machine is out of memory, the engine does not say so.
    failure.record_exit(run, step, status, out_of_memory=out_of_memory or None)
    return status


def lines(chunks: Iterable[bytes]) -> Iterable[str]:
    """Whole lines, however the engine cut the bytes."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + decode(chunk)).split("\n")
        yield from whole
    if rest:
        yield rest


# --- what it may do --------------------------------------------------------------------------------------------------


def isolation(info: Mapping[str, Any]) -> dict[str, Any]:
    """Options of every step's container: no privilege, only mounts to write to, the caller's own limits.

    Args:
        info: the engine's description of itself.
    """
    security = info.get("SecurityOptions") or []
    # With a rootless engine the container's root is the caller, and every other user is somebody else.
    rootless = info.get("Rootless") or any("name=rootless" in option for option in security)
    # Mounted folders keep their SELinux labels: they are the user's.
    unlabelled = ["label=disable"] if any("name=selinux" in option for option in security) else []
    return {
        "user": "0:0" if rootless else f"{os.getuid()}:{os.getgid()}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges", *unlabelled],
        "tmpfs": TMPFS,
        "shm_size": SHARED_MEMORY,
        "working_dir": HOME,
        "ulimits": [docker.types.Ulimit(name=name, soft=soft, hard=hard) for name, soft, hard in _limits()],
        "log_config": docker.types.LogConfig(type="json-file"),
        **_processors(info),
    }


def _limits() -> list[tuple[str, int, int]]:
    """The caller's own limits of files and processes: an engine's default may be above what it is allowed to grant."""
    pids = Path("/proc/sys/kernel/pid_max")
    most = {"nofile": MOST_FILES, "nproc": int(pids.read_text()) if pids.is_file() else MOST_FILES}
    own = {"nofile": resource.getrlimit(resource.RLIMIT_NOFILE), "nproc": resource.getrlimit(resource.RLIMIT_NPROC)}
    capped = {name: [most[name] if value < 0 else min(value, most[name]) for value in own[name]] for name in most}
    return [(name, soft, hard) for name, (soft, hard) in capped.items()]


def _processors(info: Mapping[str, Any]) -> dict[str, str]:
    """The caller's processors, if the engine has more: results are equal for equal threads only."""
    if not hasattr(os, "sched_getaffinity"):
        return {}
    allowed = sorted(os.sched_getaffinity(0))
    return {"cpuset_cpus": ",".join(map(str, allowed))} if len(allowed) < int(info.get("NCPU", 0)) else {}


def access(step: str, run: Run, record: Mapping[str, Any]) -> dict[str, Any]:
    """What one step may see: its folders under their own paths, its variables, and the network if it downloads."""
    data = record["parameters"]["data"]
    row = STEPS[step]
    online = row.downloads and downloads(data)
    variables = _variables(online)
    mounted = folders(step, run, record)
    if row.downloads and data_sources.downloads(data["name"]):
        downloaded = os.environ.get("TFDS_DATA_DIR") or str(Path.home() / "tensorflow_datasets")
        mounted.append((downloaded, downloaded, False))
        variables["TFDS_DATA_DIR"] = downloaded
    for source, _, _ in mounted:
        # The engine would make them as root.
        Path(source).mkdir(parents=True, exist_ok=True)
    if "data" in row.rooms:
        mounted += [(source, inside, True) for source, inside in user_paths(data).items()]
    mounts = [
        docker.types.Mount(target, source, type="bind", read_only=read_only) for source, target, read_only in mounted
    ]
    return {
        "mounts": mounts,
        "environment": variables,
        "labels": {container_engine.LABEL: str(run.folder), "suanli.step": step},
        **({} if online else {"network_mode": "none"}),
    }


def folders(step: str, run: Run, record: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """The run's own and the shared folders that a step needs: on this machine, inside, and whether only to be read."""
    row, target = STEPS[step], record["target"]
    paths = target | {"registry": f"{target['registry']}/{record['experiment']}"}
    needed = {paths[name]: use == "read" for name, use in row.places.items()}
    if row.shared and record["cache"]:
        needed[os.environ["SUANLI_CACHE"]] = False
    own = [(str(run.folder), str(run.folder), False)]
    shared = [
        (path, path, read_only) for path, read_only in needed.items() if not Path(path).is_relative_to(run.folder)
    ]
    return own + shared


def user_paths(data: Mapping[str, Any]) -> dict[str, str]:
    """The user's folders and files that a data source reads: path on this machine -> path in the container."""
    named = {str(data[key]) for key in PATH_SETTINGS if isinstance(data.get(key), str) and not is_remote(data[key])}
    paths = {}
    for name in named:
        source = os.path.normpath(project.path(name).absolute())
        inside = f"{HOME}{name[1:]}" if name.startswith("~/") else name
        # The step itself reports a path that does not exist.
        if Path(source).exists():
            paths[source] = os.path.normpath(Path(HOME, inside))
    return paths


def downloads(data: Mapping[str, Any]) -> bool:
    """Whether a data source is read over the network."""
    return data_sources.downloads(data["name"]) or any(is_remote(str(value)) for value in data.values())


def _variables(online: bool) -> dict[str, str]:
    """The step's environment: what launch.py sets, and the caller's variables that affect numbers."""
    names = ("PYTHONSAFEPATH", "PYTHONUNBUFFERED", "TMPDIR", "SUANLI_RUN", "SUANLI_CACHE", "SUANLI_DEBUG")
    passed = [name for name in os.environ if name.startswith(PASSED)]
    proxies = [name for name in PROXIES if online and name in os.environ]
    return {"HOME": HOME, **{name: os.environ[name] for name in (*names, *passed, *proxies)}}
