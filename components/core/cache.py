"""What was computed once on this machine: results under a key of everything that decides them.

The key holds the step's sources, the installed libraries, its parameters, its inputs' content, and its row's state.
Results are copied in and out, so that a run's folder is whole by itself, and verified each time: one that is damaged,
or that points to a damaged folder, is computed again.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from components import storage
from components.core import progress, sources
from components.core.artifacts import Artifact
from components.core.choices import Room
from components.core.config import NOT_IN_RESULT
from components.core.files import digest_of, open_lock

# An artifact's index names the experiment's choices, too.
INDEXES: dict[str, dict[Room, str]] = {
    "examples.json": {"data": "source", "tasks": "task"},
    "training.json": {"models": "name", "tasks": "task"},
}
ENTRY = {"key", "run", "time", "result", "metadata"}
# The units of data.max_age, in seconds.
AGES = {"m": 60, "h": 3600, "d": 86400, "w": 604800}


def key_of(step: str, parameters: Mapping[str, Any], inputs: Mapping[str, Artifact], state: str) -> dict[str, Any]:
    """Everything that decides the result, by name, so that a difference can be named."""
    chosen = _choices(parameters, inputs)
    return {
        "step": step,
        # Not the lock file, which says what is meant to be installed: the next line says what is.
        "code": sources.digests(step, chosen, locked=False),
        "python": ".".join(map(str, sys.version_info[:3])),
        "versions": sources.versions(step, chosen),
        "parameters": {name: value for name, value in _flat(parameters).items() if _decides(name)},
        "inputs": {name: digest_of(Path(artifact.path)) for name, artifact in inputs.items()},
        "state": state,
    }


def _choices(parameters: Mapping[str, Any], inputs: Mapping[str, Artifact]) -> sources.Chosen:
    """The experiment's own choices, as far as the step's inputs or, before them, its sections name them."""
    named: dict[Room, Any] = {}
    for artifact in inputs.values():
        for file, fields in INDEXES.items():
            with suppress(OSError, ValueError, KeyError, TypeError):
                values = json.loads((Path(artifact.path) / file).read_text())
                named |= {room: values[field] for room, field in fields.items()}
    named |= sources.chosen_in(parameters)
    return {room: name for room, name in named.items() if isinstance(name, str) and name.isidentifier()}


def _decides(name: str) -> bool:
    """Whether a parameter is a part of what a step computes: where and how often training saves itself is none."""
    return not name.rpartition(".")[2].startswith(NOT_IN_RESULT)


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


def folder_for(run_folder: Path, *, shared: bool) -> Path | None:
    """The folder to look in: everybody's, or the run's own for what must be decided anew by every run."""
    if not shared:
        return run_folder / "finished"
    folder = os.environ.get("SUANLI_CACHE", "")
    return Path(folder) if folder else None


def taken(
    cache: Path,
    key: dict[str, Any],
    run: str,
    notes: dict[str, Any],
    outputs: Mapping[str, Artifact],
    compute: Callable[[], Any],
    holds: Callable[[], bool] = lambda: True,
) -> Any:
    """Take the result that has this key, or compute it while no one else does.

    Args:
        cache: the folder of kept results.
        run: the id of the run that asks.
        notes: gets ``entry`` and, for a result that was kept, ``cached`` and the run that it is ``from``; for
            another, what has ``changed``.
        outputs: the artifacts to fill.
        compute: fills them and returns the step's result.
        holds: whether the key still describes what was computed from; if not, the result is not kept.
    """
    cache.mkdir(parents=True, exist_ok=True)
    entry = cache / entry_name(key)
    notes["entry"] = entry.name
    with _locked(cache / f"{entry.name}.lock", key["step"]):
        cached, fault = _usable(entry)
        if cached:
            for output, artifact in outputs.items():
                _copy(entry / "outputs" / output, Path(artifact.path))
                artifact.metadata.update(cached["metadata"][output])
            notes |= {"cached": True, "from": cached["run"]}
            return cached["result"]
        notes["changed"] = [fault] if fault else _changes(cache, key, run)
        result = compute()
        if holds():
            _write_entry(entry, key, run, outputs, result)
    return result


def entry_name(key: Mapping[str, Any]) -> str:
    """The name of the cache's folder for a key."""
    return f"{key['step']}-{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:16]}"


def _read_entry(entry: Path) -> dict[str, Any] | None:
    """A kept result, whether or not what it points to is still there; None if its record is damaged."""
    try:
        cached: dict[str, Any] = json.loads((entry / "entry.json").read_text())
        return cached if cached.keys() >= ENTRY and cached["key"]["step"] else None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _usable(entry: Path) -> tuple[dict[str, Any] | None, str]:
    """A kept result, or why there is none to take; both are empty if nothing was kept."""
    cached = _read_entry(entry)
    if cached is None:
        return None, ""
    if _expired(cached):
        return None, "kept longer than data.max_age allows"
    for output, digest in cached.get("digests", {}).items():
        if digest_of(entry / "outputs" / output) != digest:
            return None, f"the kept {output} was damaged"
    for values in cached["metadata"].values():
        if directory := str(values.get("directory", "")):
            try:
                differences = storage.verify(directory)
            except FileNotFoundError:
                differences = ["it is gone"]
            if differences:
                return None, f"{directory} was damaged: {differences[0]}"
    return cached, ""


def _expired(cached: Mapping[str, Any]) -> bool:
    """Whether a kept result is older than the age that its own settings allow, or from the future: the clock was set
    back since, and nobody knows its age."""
    allowed = str(cached["key"]["parameters"].get("data.max_age", ""))
    age = time.time() - float(cached["time"])
    return bool(allowed) and not 0 <= age <= float(allowed[:-1]) * AGES[allowed[-1]]


def _write_entry(entry: Path, key: Mapping[str, Any], run: str, outputs: Mapping[str, Artifact], result: Any) -> None:
    """Publish a result: copied aside, then renamed. The entry's lock is held: what lies aside is a killed writer's.

    Nothing waits for the disk: what a power failure damages differs from its digest.
    """
    aside = entry.with_name(f".{entry.name}")
    shutil.rmtree(aside, ignore_errors=True)
    for output, artifact in outputs.items():
        _copy(Path(artifact.path), aside / "outputs" / output)
    cached = {
        "key": key,
        "run": run,
        "time": time.time(),
        "result": result,
        "metadata": {output: artifact.metadata for output, artifact in outputs.items()},
        "digests": {output: digest_of(aside / "outputs" / output) for output in outputs},
    }
    (aside / "entry.json").write_text(json.dumps(cached, indent=1))
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
    with open_lock(path) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.report(step, note="another run is computing the same step: waiting for its result")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _changes(cache: Path, key: Mapping[str, Any], run: str) -> list[str]:
    """What differs from the most similar kept result of the same step and experiment, one line each; empty if there is
    none."""
    entries = [cached for path in cache.glob(f"{key['step']}-*/entry.json") if (cached := _read_entry(path.parent))]
    same = [cached for cached in entries if _experiment(cached["run"]) == _experiment(run)]
    newest_first = sorted(same, key=lambda cached: -float(cached["time"]))
    return min((_differences(cached["key"], key) for cached in newest_first), key=len, default=[])


def _experiment(run: str) -> str:
    """The experiment of a run, by its id (``20261201-093000-digits-2``); empty if it is of another form."""
    match = re.match(r"\d{8}-\d{6}-(\w+)", run)
    return match[1] if match else ""


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
