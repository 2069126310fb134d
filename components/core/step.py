"""How a step runs: its record, its cache, its progress, and how it ends.

A component's body makes one call to ``run``. On a cluster, where none of the variables below is set, that is a plain
call of the step's logic; KFP's own cache decides before the pod starts. On this machine the run's folder and the
shared cache come by environment: ``SUANLI_RUN`` (the run's folder), ``SUANLI_CACHE`` (empty: no reuse),
``SUANLI_DEBUG`` (let exceptions pass) and ``SUANLI_CACHED_ONLY`` (end with ``NOT_CACHED`` rather than compute). On a
cluster ``SUANLI_KUBEFLOW_RUN`` is set here: Kubeflow's id of the run.
"""

import importlib
import json
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from components.core import cache, failure, progress, secrets
from components.core.artifacts import Artifact
from components.core.errors import BUG, StepError
from components.core.failure import Failure, RepeatedError, TerminatedError
from components.core.files import digest_of, write_atomically
from components.steps import PLACES, STEPS

# How long a step that was asked to end may take to come to its end; a node that goes away leaves 15 s in all.
LOST_S = 5.0
CACHED_ONLY = "SUANLI_CACHED_ONLY"
# EX_OSFILE, which no kind of failure has (``errors.EXIT_CODES``).
NOT_CACHED = 72


def run(
    step: str,
    *,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Artifact] | None = None,
    outputs: Mapping[str, Artifact],
) -> Any:
    """Run a step's logic, or take its result from the cache, as its row in ``components.steps`` says.

    Args:
        step: the step's name.
        parameters: the logic's keyword arguments that are not artifacts.
        inputs: its artifacts to read.
        outputs: its artifacts to fill.

    Returns:
        What the logic returned, then or now.

    Raises:
        SystemExit: the code of the failure's kind (``errors.EXIT_CODES``), after it was reported (``failure.report``).
    """
    folder = os.environ.get("SUANLI_RUN", "")
    row, inputs = STEPS[step], inputs or {}

    def compute() -> Any:
        if os.environ.get(CACHED_ONLY):
            raise SystemExit(NOT_CACHED)
        _check_places(parameters)
        result = _function(row.logic)(**parameters, **inputs, **outputs)
        for artifact in outputs.values():
            _write_if_missing(artifact)
        return result

    if not folder:
        os.environ["SUANLI_KUBEFLOW_RUN"] = failure.run_of(outputs)
        with _failures_told(Ending(step, failure.output_folder(outputs))) as ending:
            if before := failure.of_earlier_attempt(ending.output_folder):
                raise RepeatedError(before)
            result = compute()
            failure.report_done(step)
            return result
    record = Record(Path(folder), step)
    with _failures_told(Ending(step, record=record)):
        record.asked(row.logic, parameters, inputs, outputs)
        state = _function(row.state) if row.state else lambda **_: ""
        key = cache.key_of(step, parameters, inputs, state(**parameters))
        kept_in = cache.folder_for(Path(folder), shared=row.shared)

        def holds() -> bool:
            return bool(state(**parameters) == key["state"])

        if kept_in:
            result = cache.taken(kept_in, key, record.folder.name, record.values, outputs, compute, holds)
        else:
            result = compute()
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
        write_atomically(path, json.dumps(secrets.redact(self.values), indent=1))
        progress.report(self.step, state=self.values["state"], cached=self.values["cached"])

    def finish(self, key: Mapping[str, Any], outputs: Mapping[str, Artifact]) -> None:
        """Note success with what was made where."""
        made = {
            name: {"path": self.relative(artifact), "digest": digest_of(Path(artifact.path))}
            for name, artifact in outputs.items()
        }
        self.write(state="succeeded", key=dict(key), outputs=made, peak_mb=_peak_mb())

    def fail(self, cause: Failure) -> None:
        """Note a failure: the line that a user reads, and the end of the traceback. A step that was asked to end, as by
        Ctrl-C, has not failed."""
        self.write(state="interrupted" if cause.kind == "preempted" else "failed", cause=asdict(cause))


# --- how it ends badly -----------------------------------------------------------------------------------------------


class Ending:
    """Where a step that fails has to tell of it.

    Args:
        step: the step's name.
        output_folder: of its outputs on a cluster.
        record: its record in the run's folder on this machine.
    """

    def __init__(self, step: str, output_folder: str = "", record: Record | None = None) -> None:
        self.step, self.output_folder, self.record = step, output_folder, record

    def note(self, error: BaseException) -> Failure:
        """Write a failure to the record. A full disk is one of the faults to be told about, and must not hide behind
        its own record."""
        failed = failure.from_exception(self.step, error)
        if self.record:
            try:
                self.record.fail(failed)
            except OSError as second:
                failure.to_stderr(f"error: the failure could not be recorded: {second}")
        return failed

    def tell(self, error: BaseException) -> Failure:
        """Tell of a failure everywhere."""
        failed = self.note(error)
        if failed.kind == BUG:
            failure.to_stderr(secrets.mask("".join(traceback.format_exception(error)).rstrip()))
        failure.report(failed, self.output_folder)
        return failed


# The step that runs in this process, for whoever has to end it from outside of its logic.
_running: list[Ending] = []


def end_now(error: StepError | TerminatedError) -> None:
    """Tell of a failure and end this process at once, from any thread, though the main one may hang in native code.

    Nothing is unwound: no ``finally``, no ``with`` ends. Does not return.
    """
    ending = _running[-1] if _running else Ending("step")
    os._exit(ending.tell(error).code)


@contextmanager
def _failures_told(ending: Ending) -> Iterator[Ending]:
    _running.append(ending)
    try:
        with _terminations_raised() as deaf:
            try:
                yield ending
            except (Exception, TerminatedError) as error:
                deaf()
                if os.environ.get("SUANLI_DEBUG"):
                    ending.note(error)
                    raise
                raise SystemExit(ending.tell(error).code) from None
    finally:
        _running.remove(ending)


@contextmanager
def _terminations_raised() -> Iterator[Callable[[], None]]:
    """SIGTERM as an exception in the main thread; a step that does better than that sets a handler of its own.

    Yields:
        A function after which SIGTERM is ignored, for a process that is about to end by itself.
    """
    ours = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if ours else None
    # Python drops an exception that comes up in a finalizer or in a callback of its garbage collector.
    lost = threading.Timer(LOST_S, lambda: end_now(TerminatedError()))
    lost.daemon = True

    def deaf() -> None:
        lost.cancel()
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def asked_to_end(*_: object) -> None:
        # Whoever ends a run asks the group and each process in it.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        lost.start()
        raise TerminatedError

    if ours:
        signal.signal(signal.SIGTERM, asked_to_end)
    try:
        yield deaf
    finally:
        lost.cancel()
        if ours:
            signal.signal(signal.SIGTERM, before)


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
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit
