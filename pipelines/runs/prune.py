"""Remove old runs, and the shared data that only they used; when in doubt, they stay."""

import json
import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from components.core.errors import StepError
from components.registry import contents, pointer
from pipelines.runs import folder
from pipelines.runs.folder import Run

REMOVED = ".removed-"


@dataclass(frozen=True)
class Pruned:
    """What was removed, or would be.

    Attributes:
        runs: ids of the removed runs.
        shared: removed folders below ``.store``, the caches and ``.checkpoints``, relative to the folder of runs.
        megabytes: the space that they took.
        stays: what older than the kept runs stays all the same, and why; one line each.
    """

    runs: list[str]
    shared: list[str]
    megabytes: float
    stays: list[str] = field(default_factory=list)


def prune(runs: Path, keep: int, dry: bool = False) -> Pruned:
    """Remove all but the newest runs and what these use; published models and the runs that made the served ones stay.

    A run whose record is damaged stays, too. As nobody knows what it uses, the shared folders then stay as well.

    Raises:
        StepError: a run is in progress, or there is no such folder.
    """
    if not runs.is_dir():
        raise StepError(f"there are no runs in {runs}", advice=folder.START, kind="settings")
    with folder.no_run_in(runs):
        every = folder.every(runs)
        faults = {run: fault for run in every if (fault := _fault(run))}
        intact = [run for run in every if run not in faults]
        reasons = _served(runs, intact) | faults
        old = [run for run in intact[: len(intact) - keep] if run not in reasons]
        remaining = [run for run in every if run not in old]
        shared: list[Path] = []
        if not faults:
            used = {path for run in remaining for path in _used(run)} | _checkpoints(runs, remaining)
            shared = [path for path in _shared(runs) if path not in used]
        removed = [run.folder for run in old] + shared
        megabytes = sum(_size(path) for path in removed) / 1e6
        if not dry:
            # A prune that was killed leaves folders that it has renamed.
            for path in runs.glob(f"{REMOVED}*"):
                shutil.rmtree(path, ignore_errors=True)
            for path in removed:
                # Renamed first, so that a run is never half removed.
                hidden = path.rename(path.with_name(f"{REMOVED}{path.name.lstrip('.')}"))
                shutil.rmtree(hidden, ignore_errors=True)
            if remaining:
                folder.point_latest(remaining[-1])
            else:
                (runs / folder.LATEST).unlink(missing_ok=True)
    stays = [f"{run.id} stays: {reason}" for run, reason in reasons.items() if run not in intact[len(intact) - keep :]]
    stays += ["the shared folders stay: what a damaged run uses is unknown; repair or remove it"] if faults else []
    return Pruned([run.id for run in old], [str(path.relative_to(runs)) for path in shared], round(megabytes, 1), stays)


def _fault(run: Run) -> str:
    """What of a run's records cannot be read; empty if they are intact."""
    try:
        float(run.read()["started"])
        _used(run)
    except StepError as error:
        return error.message
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"a record of it is damaged ({type(error).__name__}: {error})"
    damaged = [path.name for path in run.step_files() if not folder.read_step(path)]
    return f"its record {damaged[0]} is damaged" if damaged else ""


def _served(runs: Path, intact: list[Run]) -> dict[Run, str]:
    """The runs that made the served models of this machine's registry: run -> which."""
    reasons: dict[Run, str] = {}
    for registry in contents.list_models(str(runs / folder.REGISTRY)):
        champion = pointer.load(registry)
        if champion.fault and not champion.history:
            return dict.fromkeys(intact, f"{champion.fault}, so that the served version's run is unknown")
        makers = {entry.run for entry in champion.history if entry.version == champion.version}
        name = contents.model_name(registry)
        reasons |= {run: f"it made the champion {champion.version} of {name}" for run in intact if run.id in makers}
    return reasons


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
            index = run.folder / artifact["path"] / "examples.json"
            if index.is_file():
                values = json.loads(index.read_text())
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
