"""Remove old runs, and the shared data that only they used."""

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
    """Remove all but the newest runs and what these use; published models always stay.

    Raises:
        StepError: a run is in progress.
    """
    with folder.no_run_in(runs):
        every = folder.every(runs)
        remaining, old = every[len(every) - keep :], every[: len(every) - keep]
        used = {path for run in remaining for path in _used(run)} | _checkpoints(runs, remaining)
        shared = [path for path in _shared(runs) if path not in used]
        removed = [run.folder for run in old] + shared
        megabytes = sum(_size(path) for path in removed) / 1e6
        if not dry:
            for path in removed:
                # Renamed first, so that a run is never half removed.
                hidden = path.rename(path.with_name(f".removed-{path.name.lstrip('.')}"))
                shutil.rmtree(hidden, ignore_errors=True)
            if remaining:
                folder.point_latest(remaining[-1])
            else:
                (runs / folder.LATEST).unlink(missing_ok=True)
    return Pruned([run.id for run in old], [str(path.relative_to(runs)) for path in shared], round(megabytes, 1))


def _shared(runs: Path) -> list[Path]:
    folders = (folder.STORE, *folder.CACHES.values(), folder.CHECKPOINTS)
    return sorted(path for name in folders for path in (runs / name).glob("*") if path.is_dir())


def _used(run: Run) -> set[Path]:
    """The shared folders that a run needs in order to be read, resumed or taken from the cache."""
    paths = set()
    cache = run.root / folder.CACHES[run.read().get("runner", "subprocess")]
    for record in run.steps().values():
        if entry := record.get("entry"):
            paths.add(cache / entry)
        for artifact in (*record.get("inputs", {}).values(), *record.get("outputs", {}).values()):
            with suppress(OSError, ValueError, KeyError, TypeError):
                values = json.loads((run.folder / artifact["path"] / "examples.json").read_text())
                paths.add(run.root / folder.STORE / Path(values["directory"]).name)
    return paths


def _checkpoints(runs: Path, remaining: list[Run]) -> set[Path]:
    """The checkpoints that an unfinished run may resume from: those written since the first such run started."""
    started = [float(values["started"]) for run in remaining if (values := run.read())["status"] != "succeeded"]
    since = min(started, default=math.inf)
    files = (runs / folder.CHECKPOINTS).glob("*/epoch-*")
    return {path.parent for path in files if path.stat().st_mtime >= since}


def _size(path: Path) -> int:
    return sum(part.lstat().st_size for part in path.rglob("*") if not part.is_dir())
