"""What a run made, by name: everything that must be the same however often the run was killed."""

from pathlib import Path
from typing import Any

from pipelines.local import folder
from pipelines.local.compare import TIMED, flat
from tests.chaos.places import Places, Reader, digest

# Step -> outputs that follow from data, settings and seed alone.
MADE = {"prepare": ("report",), "train": ("trained",), "evaluate": ("classes", "reasons", "verdict")}
# Of a published version: they tell latencies. Their names must be there all the same.
TIMED_FILES = ("card.md", "card.html")
SHOWN = 300
LOCKS = (".lock", ".lease")


def of(runs: Path, places: Places, reader: Reader) -> dict[str, Any]:
    """What the one run below a folder of runs, and all before it in the same places, left behind."""
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
    found |= {f"data {name}": seen for name, seen in _kept(reader.digests(places.data_root)).items()}
    found |= {f"checkpoint {name}": "left" for name in _kept(reader.digests(places.checkpoint_root))}
    found |= {f"registry {name}": seen for name, seen in _published(reader.read(places.registry)).items()}
    found |= {f"temporary {path.relative_to(runs)}": "left" for path in _temporary(runs)}
    return found


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
    return any(part in name for part in TIMED)


def _files(path: Path | None) -> dict[str, str]:
    """Name below a path ("" for itself) -> digest."""
    if path is None:
        return {"": "absent"}
    if path.is_file():
        return {"": digest(path.read_bytes())}
    return {f"/{part.relative_to(path)}": digest(part.read_bytes()) for part in path.rglob("*") if part.is_file()}


def _kept(files: dict[str, str]) -> dict[str, str]:
    return {name: seen for name, seen in files.items() if not name.endswith(LOCKS)}


def _published(files: dict[str, bytes]) -> dict[str, str]:
    found = {}
    for name, content in files.items():
        found[name] = "there" if name.endswith(TIMED_FILES) else digest(content)
    return _kept(found)


def _temporary(runs: Path) -> list[Path]:
    """Folders that steps and the runner write aside and should have removed."""
    asides = [path for path in (runs / ".cache").glob(".*") if path.is_dir()]
    return [*runs.glob("2*/tmp"), *runs.glob("2*/finished/.*/"), *asides]
