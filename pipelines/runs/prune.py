"""Remove old runs, and what only they used of the shared folders."""

import json
import math
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.runs import folder
from pipelines.runs.folder import Run


@dataclass(frozen=True)
class Pruned:
    """What was removed, or would be.

    Attributes:
        runs: ids of the removed runs.
        shared: removed folders below ``.store``, the caches and ``.checkpoints``, relative to the folder of runs.
        megabytes: the space that they took.
    """

    runs: list[str]
    shared: list[str]
    megabytes: float


def prune(runs: Path, keep: int, dry: bool = False) -> Pruned:
    """Keep the newest runs with everything they use; published models stay whatever happens.

    Raises:
        StepError: a run is in progress.
    """
    with folder.no_run_in(runs):
        every = folder.every(runs)
        kept, gone = every[len(every) - keep :], every[: len(every) - keep]
        used = {path for run in kept for path in _used(run)} | _checkpoints(runs, kept)
        shared = [path for path in _shared(runs) if path not in used]
        removed = [run.folder for run in gone] + shared
        megabytes = sum(_size(path) for path in removed) / 1e6
        if not dry:
            for path in removed:
                # Renamed first: a run half removed is no run.
                aside = path.with_name(f".removed-{path.name.lstrip('.')}")
                path.rename(aside)
                shutil.rmtree(aside, ignore_errors=True)
            _point_latest(runs, kept)
    return Pruned([run.id for run in gone], [str(path.relative_to(runs)) for path in shared], round(megabytes, 1))


def _shared(runs: Path) -> list[Path]:
    folders = (folder.STORE, *folder.CACHES.values(), folder.CHECKPOINTS)
    return sorted(path for name in folders for path in (runs / name).glob("*") if path.is_dir())


def _used(run: Run) -> set[Path]:
    """The shared folders that a run needs, to be read, resumed or taken from the cache again."""
    found = set()
    cache = run.root / folder.CACHES[run.read().get("runner", "subprocess")]
    for record in run.steps().values():
        if entry := record.get("entry"):
            found.add(cache / entry)
        artifacts = [*record.get("inputs", {}).values(), *record.get("outputs", {}).values()]
        for artifact in artifacts:
            with suppress(OSError, ValueError, KeyError, TypeError):
                values = json.loads((run.folder / artifact["path"] / "examples.json").read_text())
                found.add(run.root / folder.STORE / Path(values["directory"]).name)
    return found


def _checkpoints(runs: Path, kept: list[Run]) -> set[Path]:
    """The checkpoints that an unfinished run may go on from: those written since the first such run started."""
    begun = [float(values["started"]) for run in kept if (values := run.read())["status"] != "succeeded"]
    since = min(begun, default=math.inf)
    files = (runs / folder.CHECKPOINTS).glob("*/epoch-*")
    return {path.parent for path in files if path.stat().st_mtime >= since}


def _size(path: Path) -> int:
    return sum(part.lstat().st_size for part in path.rglob("*") if not part.is_dir())


def _point_latest(runs: Path, kept: list[Run]) -> None:
    if kept:
        folder.point_latest(kept[-1])
    else:
        with suppress(FileNotFoundError):
            (runs / folder.LATEST).unlink()
