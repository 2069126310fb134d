"""How a step runs: its record, its cache, its progress, and its one-line failures.

A component's body makes one call to ``run``. On a cluster, where none of the variables below is set, that is a plain
call of the step's logic; KFP's own cache decides before the pod starts. On this machine the run's folder and the
shared cache come by environment: ``SUANLI_RUN`` (the run's folder), ``SUANLI_CACHE`` (empty: no reuse) and
``SUANLI_DEBUG`` (let exceptions pass).
"""

import errno
import fcntl
import hashlib
import importlib
import json
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from components.core import progress, sources
from components.core.errors import StepError

PLACES = ("data_root", "checkpoint_root", "registry")
# Where checkpoints lie is no part of what a step computes.
NOT_IN_KEY = frozenset({"checkpoint_root"})

# The units of data.max_age, in seconds.
AGES = {"m": 60, "h": 3600, "d": 86400, "w": 604800}


class Artifact(Protocol):
    """What a step's logic sees of a KFP artifact: a place for files, and a dictionary that the user interface shows."""

    path: str
    uri: str
    metadata: dict[str, Any]


def run(
    step: str,
    logic: str,
    *,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Artifact] | None = None,
    outputs: Mapping[str, Artifact],
    scope: Literal["shared", "run"] = "shared",
    state: str = "",
) -> Any:
    """Run a step's logic, or take its result from the cache.

    Args:
        step: the step's name, which is its folder's.
        logic: the function, ``module:function``, imported only when it has to run.
        parameters: its keyword arguments that are not artifacts.
        inputs: its artifacts to read.
        outputs: its artifacts to fill.
        scope: ``shared`` results serve every run on this machine; ``run`` results only a resumed run.
        state: a function, ``module:function``, of the parameters, whose answer (a string) joins the key: what the
            step will read from outside, such as the present champion.

    Returns:
        What the logic returned, then or now.

    Raises:
        SystemExit: 1, after a failure that its user can mend was written to stderr and to the run's folder.
    """
    folder = os.environ.get("SUANLI_RUN", "")
    inputs = inputs or {}

    def compute() -> Any:
        _check_places(parameters)
        result = _function(logic)(**parameters, **inputs, **outputs)
        for artifact in outputs.values():
            _write_if_missing(artifact)
        return result

    if not folder:
        with _one_line_failures():
            return compute()
    record = Record(Path(folder), step)
    with _one_line_failures(record):
        record.asked(logic, parameters, inputs, outputs)
        key = _key(step, parameters, inputs, _function(state)(**parameters) if state else "")
        cache = _cache(Path(folder), scope)
        result = _cached(cache, key, record, outputs, compute) if cache else compute()
        record.finish(key, outputs)
    return result


def _check_places(parameters: Mapping[str, Any]) -> None:
    """Refuse a pipeline file that was compiled without a target and given none of its places since."""
    for name in PLACES:
        if name in parameters and not str(parameters[name]).startswith(("/", "gs://")):
            raise StepError(
                f"the pipeline's parameter {name} is {parameters[name]!r}, not gs:// or an absolute path",
                advice="compile with --target, or give it when the run is created",
                kind="settings",
            )


class Record:
    """``steps/<step>.json`` in the run's folder: state, seconds, key, and the cause of a failure."""

    def __init__(self, folder: Path, step: str) -> None:
        self.folder, self.step, self.began = folder, step, time.time()
        self.values: dict[str, Any] = {"step": step, "state": "running", "cached": False, "started": self.began}

    def asked(
        self,
        logic: str,
        parameters: Mapping[str, Any],
        inputs: Mapping[str, Artifact],
        outputs: Mapping[str, Artifact],
    ) -> None:
        """Note the call itself, so that it can be made again (``suanli step``)."""
        given = {
            name: {"type": type(artifact).__name__, "path": self.relative(artifact), "metadata": artifact.metadata}
            for name, artifact in inputs.items()
        }
        types = {name: type(artifact).__name__ for name, artifact in outputs.items()}
        self.write(logic=logic, parameters=dict(parameters), inputs=given, output_types=types)

    def relative(self, artifact: Artifact) -> str:
        """Where an artifact lies, seen from the run's folder, which can be moved."""
        return os.path.relpath(artifact.path, self.folder)

    def write(self, **values: Any) -> None:
        """Lay values over the record and publish it whole, with a line of progress."""
        self.values |= values | {"seconds": round(time.time() - self.began, 3)}
        path = self.folder / "steps" / f"{self.step}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(self.values, indent=1))
        progress.report(self.step, state=self.values["state"], cached=self.values["cached"])

    def finish(self, key: Mapping[str, Any], outputs: Mapping[str, Artifact]) -> None:
        """Note success with what was made where."""
        made = {
            name: {"path": self.relative(artifact), "digest": digest_of(Path(artifact.path))}
            for name, artifact in outputs.items()
        }
        self.write(state="succeeded", key=dict(key), outputs=made, peak_mb=_peak_mb())

    def fail(self, error: BaseException) -> None:
        """Note a failure: the line that a user reads, and the end of the traceback for a bug."""
        known = error if isinstance(error, StepError) else _from_system(error)
        cause = {
            "kind": known.kind if known else "bug",
            "message": known.message if known else f"{type(error).__name__}: {error}",
            "advice": known.advice if known else "",
            "traceback": "".join(traceback.format_exception(error)[-6:]),
        }
        self.write(state="failed", cause=cause)


@contextmanager
def _one_line_failures(record: Record | None = None) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if record:
            # A full disk is one of the faults to be told about, and must not hide behind its own record.
            try:
                record.fail(error)
            except OSError as second:
                print(f"error: the failure could not be recorded: {second}", file=sys.stderr)
        known = error if isinstance(error, StepError) else _from_system(error)
        if known is None or os.environ.get("SUANLI_DEBUG"):
            raise
        print(f"error: {known}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None


def _from_system(error: BaseException) -> StepError | None:
    """A failure of the machine, told as one line; None for anything else."""
    if isinstance(error, MemoryError):
        return StepError("out of memory", advice="use a smaller batch size or a larger machine", kind="resources")
    if not isinstance(error, OSError) or error.errno not in {
        errno.ENOSPC,
        errno.EACCES,
        errno.EROFS,
        errno.EPERM,
        errno.EDQUOT,
    }:
        return None
    where = f" at {error.filename}" if error.filename else ""
    return StepError(
        f"cannot write{where}: {os.strerror(error.errno)}",
        advice="free space or choose another folder; nothing half-written is used",
        kind="resources",
    )


def _function(path: str) -> Callable[..., Any]:
    module, _, name = path.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def _write_if_missing(artifact: Artifact) -> None:
    """Give artifacts that are metadata only (metrics) a file, so that their values can be read without KFP."""
    path = Path(artifact.path)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(artifact.metadata, indent=1, sort_keys=True))


# --- the cache -----------------------------------------------------------------------------------------------------


def _key(step: str, parameters: Mapping[str, Any], inputs: Mapping[str, Artifact], state: str) -> dict[str, Any]:
    """Everything that the result stands on, by name, so that a difference can be told."""
    chosen = {"data": ("data", "name"), "models": ("model", "name")}
    used = {room: parameters[section][field] for room, (section, field) in chosen.items() if section in parameters}
    return {
        "step": step,
        "code": sources.digests(step, used),
        "python": ".".join(map(str, sys.version_info[:3])),
        "parameters": _flat({name: value for name, value in parameters.items() if name not in NOT_IN_KEY}),
        "inputs": {name: digest_of(Path(artifact.path)) for name, artifact in inputs.items()},
        "state": state,
    }


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one level of dotted names. kfp.local turns the integers inside into floats; undo that."""
    if isinstance(value, Mapping):
        pairs = ((f"{prefix}.{name}" if prefix else str(name), part) for name, part in value.items())
        return {name: leaf for path, part in pairs for name, leaf in _flat(part, path).items()} or {prefix: {}}
    return {prefix: _whole(value)}


def _whole(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_whole(part) for part in value]
    if isinstance(value, Mapping):
        return {name: _whole(part) for name, part in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value


def digest_of(path: Path) -> str:
    """A digest (16 hexadecimal digits) of a file, or of a folder's files with their names."""
    total = hashlib.sha256()
    files = sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]
    for file in files:
        if file.is_file():
            total.update(str(file.relative_to(path)).encode())
            with file.open("rb") as stream:
                total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()[:16]


def _cache(run_folder: Path, scope: str) -> Path | None:
    """The folder to look in: everybody's, or the run's own for what must be decided anew by every run."""
    if scope == "run":
        return run_folder / "finished"
    shared = os.environ.get("SUANLI_CACHE", "")
    return Path(shared) if shared else None


def _cached(
    cache: Path, key: dict[str, Any], record: Record, outputs: Mapping[str, Artifact], compute: Callable[[], Any]
) -> Any:
    """Take the result that has this key, or compute it while no one else does."""
    cache.mkdir(parents=True, exist_ok=True)
    entry = cache / entry_name(key)
    record.values["entry"] = entry.name
    with _locked(cache / f"{entry.name}.lock", record.step):
        kept = _read_entry(entry)
        if kept is not None and not _expired(kept):
            for output, artifact in outputs.items():
                _copy(entry / "outputs" / output, Path(artifact.path))
                artifact.metadata.update(kept["metadata"][output])
            record.values |= {"cached": True, "from": kept["run"]}
            return kept["result"]
        record.values["changed"] = _changes(cache, key) if kept is None else ["kept longer than data.max_age allows"]
        result = compute()
        _write_entry(entry, key, record, outputs, result)
    return result


def entry_name(key: Mapping[str, Any]) -> str:
    """The name of the cache's folder for a key."""
    return f"{key['step']}-{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]}"


def _read_entry(entry: Path) -> dict[str, Any] | None:
    """A kept result, unless what it points to is gone."""
    try:
        kept: dict[str, Any] = json.loads((entry / "entry.json").read_text())
    except (OSError, ValueError):
        return None
    places = [Path(values["directory"]) for values in kept["metadata"].values() if "directory" in values]
    return kept if all(place.is_dir() for place in places if "://" not in str(place)) else None


def _expired(kept: Mapping[str, Any]) -> bool:
    """Whether a kept result is older than the age that its own settings allow."""
    allowed = str(kept["key"]["parameters"].get("data.max_age", ""))
    return bool(allowed) and time.time() - float(kept["time"]) > float(allowed[:-1]) * AGES[allowed[-1]]


def _write_entry(
    entry: Path, key: Mapping[str, Any], record: Record, outputs: Mapping[str, Artifact], result: Any
) -> None:
    """Publish a result: copied aside, then renamed."""
    aside = entry.with_name(f".{entry.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    for output, artifact in outputs.items():
        _copy(Path(artifact.path), aside / "outputs" / output)
    kept = {
        "key": key,
        "run": record.folder.name,
        "time": time.time(),
        "result": result,
        "metadata": {output: artifact.metadata for output, artifact in outputs.items()},
    }
    (aside / "entry.json").write_text(json.dumps(kept, indent=1))
    shutil.rmtree(entry, ignore_errors=True)
    aside.rename(entry)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    else:
        shutil.copyfile(source, target)


@contextmanager
def _locked(path: Path, step: str) -> Iterator[None]:
    """Hold a lock that the system releases with the process, and say so when another run holds it."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.report(step, note="another run is computing the same step: waiting for its result")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _changes(cache: Path, key: Mapping[str, Any]) -> list[str]:
    """What differs from the most similar kept result of the same step, one line each; empty where there is none."""
    entries = [kept for path in cache.glob(f"{key['step']}-*/entry.json") if (kept := _read_entry(path.parent))]
    newest_first = sorted(entries, key=lambda kept: -float(kept["time"]))
    return min((_differences(kept["key"], key) for kept in newest_first), key=len, default=[])


def _differences(before: Mapping[str, Any], key: Mapping[str, Any]) -> list[str]:
    lines = []
    for part, new in key.items():
        old = before.get(part)
        if not isinstance(new, dict) or not isinstance(old, dict):
            lines += [f"{part}: {old} -> {new}"] if old != new else []
            continue
        for name in sorted(old.keys() | new.keys()):
            if old.get(name) != new.get(name):
                shown = "" if part == "code" else f": {old.get(name, 'absent')} -> {new.get(name, 'absent')}"
                lines.append(f"{part} {name}{shown}")
    return lines


def _peak_mb() -> int:
    """The largest resident memory that this process has had; Linux counts it in KiB, macOS in bytes."""
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old one or the new one, never half of one."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text)
    aside.replace(path)
