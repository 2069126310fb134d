"""How a step runs: its record, its cache, its progress, and its one-line failures.

A component's body makes one call to ``run``. On a cluster, where none of the variables below is set, that is a plain
call of the step's logic; KFP's own cache decides before the pod starts. On this machine the run's folder and the
shared cache come by environment: ``SUANLI_RUN`` (the run's folder), ``SUANLI_CACHE`` (empty: no reuse) and
``SUANLI_DEBUG`` (let exceptions pass).
"""

import errno
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from components.core import cache, progress
from components.core.artifacts import Artifact
from components.core.errors import StepError
from components.core.files import digest_of, write_atomically

PLACES = ("data_root", "checkpoint_root", "registry")


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
        key = cache.key_of(step, parameters, inputs, _function(state)(**parameters) if state else "")
        place = cache.place(Path(folder), scope)
        run_id = record.folder.name
        result = cache.taken(place, key, run_id, record.values, outputs, compute) if place else compute()
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


def _peak_mb() -> int:
    """The largest resident memory that this process has had; Linux counts it in KiB, macOS in bytes."""
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit
