"""What a run made, by name: everything that must be the same however often the run was killed."""

import base64
import json
from pathlib import Path, PurePosixPath
from typing import Any

import google_crc32c

from pipelines.runs import folder
from pipelines.runs.compare import TIMED, flat
from tests.campaigns.chaos.places import Places, Reader, digest

# Step -> outputs that follow from data, settings and seed alone.
MADE = {"prepare": ("report",), "train": ("trained",), "evaluate": ("classes", "reasons", "verdict")}
# What interruptions cost is told by a run that had some.
INTERRUPTED = ("attempts", "goodput")
# A lease in Cloud Storage stays, with its token.
LOCKS = (".lock", ".lease", "/lease.json")
SHOWN = 300


def of(runs: Path, places: Places, reader: Reader) -> dict[str, Any]:
    """What the one run below a folder of runs, and all before it in the same places, made."""
    [run] = folder.every(runs)
    record = run.read()
    found: dict[str, Any] = {name: record[name] for name in ("status", "accepted")}
    found |= {f"reason {number}": reason for number, reason in enumerate(record["reasons"], 1)}
    for section in ("metrics", "training"):
        values = flat(record[section])
        found |= {f"{section} {name}": value for name, value in values.items() if not _timed(name)}
    for step, outputs in MADE.items():
        for output in outputs:
            path = run.output(step, output)
            found |= {f"{step} {output}{name}": seen for name, seen in _files(path).items()}
    published = reader.read(places.registry)
    stored = {
        "data": {name: digest(content) for name, content in reader.read(places.data_root).items()},
        "checkpoint": dict.fromkeys(reader.state(places.checkpoint_root), "left"),
        "registry": {name: _published(name, published) for name in published},
    }
    for place, files in stored.items():
        found |= {f"{place} {name}": seen for name, seen in files.items() if not (_is_lock(name) or _is_aside(name))}
    return found


def left(runs: Path, places: Places, reader: Reader, temporary: Path) -> list[str]:
    """What was written aside and never cleared away: in the places, the runs' folder, that for temporary files."""
    below = [(place, reader.state(place)) for place in (places.data_root, places.checkpoint_root, places.registry)]
    found = [f"{place}/{name}" for place, names in below for name in names if _is_aside(name) and not _is_lock(name)]
    kept = [*runs.glob("2*/tmp"), *runs.glob("2*/finished/.*/"), *runs.glob(".cache/.*/"), *temporary.iterdir()]
    return sorted([*found, *map(str, kept)])


def differences(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """One line for each thing that is not the same."""
    names = dict.fromkeys([*expected, *found])
    pairs = {name: (expected.get(name, "absent"), found.get(name, "absent")) for name in names}
    return [
        f"{name}: {str(one)[:SHOWN]} in the undisturbed run, {str(other)[:SHOWN]} in the killed one"
        for name, (one, other) in pairs.items()
        if one != other
    ]


def versions(found: dict[str, Any]) -> dict[str, str]:
    """Published version -> the digest of its model."""
    models = [name for name in found if name.startswith("registry ") and name.endswith("/model.keras")]
    return {name.split("/")[-2]: found[name] for name in models}


def _timed(name: str) -> bool:
    return name in INTERRUPTED or any(part in name for part in TIMED)


def _is_lock(name: str) -> bool:
    return name.endswith(LOCKS)


def _is_aside(name: str) -> bool:
    """Whether a file, or a folder that it lies in, has a name that begins with a dot."""
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _files(path: Path | None) -> dict[str, str]:
    """Name below a path ("" for itself) -> digest."""
    if path is None:
        return {"": "absent"}
    if path.is_file():
        return {"": digest(path.read_bytes())}
    return {f"/{part.relative_to(path)}": digest(part.read_bytes()) for part in path.rglob("*") if part.is_file()}


def _published(name: str, files: dict[str, bytes]) -> Any:
    """What must be the same of a file in the registry."""
    match PurePosixPath(name).name:
        case "card.md" | "card.html":
            return "there"  # it tells latencies; its bytes are those that the manifest tells
        case "manifest.json":
            return _held(name, files)
        case "champion.json":
            return _line(json.loads(files[name]))
    if PurePosixPath(name).parent.name == "history":
        return _change(json.loads(files[name]))
    return digest(files[name])


def _held(name: str, files: dict[str, bytes]) -> str:
    """What a manifest says of the files beside it, held against their bytes."""
    beside = name.removesuffix("manifest.json")
    told = json.loads(files[name])["files"]
    there = {path.removeprefix(beside) for path in files if path.startswith(beside) and path != name}
    wrong = sorted(there.symmetric_difference(told))
    for path in sorted(there.intersection(told)):
        content = files[beside + path]
        checksum = base64.b64encode(google_crc32c.value(content).to_bytes(4, "big")).decode()
        wrong += [path] * (told[path] != {"size": len(content), "crc32c": checksum})
    return f"wrong about {', '.join(wrong)}" if wrong else f"whole: {', '.join(sorted(told))}"


def _line(champion: dict[str, Any]) -> Any:
    """The champion and every change that led to it, without who made it when."""
    changes = [_change(entry) for entry in champion.get("history", [])]
    return champion["version"], champion["replaced"], changes


def _change(entry: dict[str, Any]) -> Any:
    return entry["version"], entry["replaced"], entry["by"], entry["difference"]
