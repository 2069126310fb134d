"""One run from the command's side: check, create the folder, follow, conclude."""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from components.core.errors import StepError
from components.core.files import write_atomically
from pipelines import experiment
from pipelines.compile import compiler, targets
from pipelines.local import container_engine, launch
from pipelines.local.container_engine import Engine
from pipelines.runs import display, failure, folder, page, record
from pipelines.runs.folder import Run
from pipelines.runs.progress import Watch


def start(source: str, changes: list[str], runs: Path, *, runner: str, cache: bool, debug: bool, as_json: bool) -> int:
    """Run an experiment from its beginning and return the command's exit status.

    Raises:
        StepError: a setting is wrong, there is no engine or image for the runner, or the folder of runs cannot be
            written; nothing has been started or created.
    """
    named = experiment.load(source).with_settings(changes)
    record.check(named)
    values = {**record.initial(named, targets.local(runs), source, cache), "runner": runner}
    with launch.signals_noted() as seen, _engine(values) as opened:
        run = folder.create(runs, named.name)
        return _through(run, _begun(run, values), seen, opened, debug, as_json)


@contextmanager
def _engine(values: dict[str, Any]) -> Iterator[Engine | None]:
    """The container engine of a run that wants one; which images it has for the steps joins the record."""
    if values.get("runner") != "docker":
        yield None
        return
    prefix = values["target"]["image_prefix"]
    names = {step: compiler.image_name(prefix, compiler.CPU, tag) for step, tag in values["images"].items()}
    with container_engine.opened(names) as opened:
        values["image_ids"] = opened.images
        yield opened


def _begun(run: Run, values: dict[str, Any]) -> dict[str, Any]:
    """Write the record of a new run, and let ``latest`` name it."""
    if not values["cache"]:
        # A shared checkpoint is a result of another run, too.
        values["target"]["checkpoint_root"] = str(run.folder / "checkpoints")
    values = {"id": run.id, **values}
    try:
        run.write(values)
        folder.point_latest(run)
    except OSError as error:
        # A folder without a record is no run, and nobody would remove it.
        shutil.rmtree(run.folder, ignore_errors=True)
        raise StepError(
            f"cannot write the runs folder {run.root}: {error.strerror}",
            advice="free space, or give another with --runs or SUANLI_RUNS",
            kind="resources",
        ) from None
    return values


def reproduce(first: Run, *, as_json: bool) -> tuple[int, Run]:
    """Run a record again, without the cache and without publishing, and return the exit status and the new run.

    Raises:
        StepError: the run has not succeeded.
    """
    before = first.read()
    if "cluster" in before:
        raise StepError(f"run {first.id} was on a cluster and cannot be reproduced here", kind="settings")
    if before["status"] != "succeeded":
        raise StepError(f"run {first.id} is {before['status']}: only a finished run can be reproduced", kind="settings")
    pipeline = before.get("pipeline", experiment.PIPELINE)
    again = experiment.Experiment.from_sections(before["parameters"], pipeline)
    named = experiment.NamedExperiment(before["experiment"], before["description"], again)
    values = record.initial(named, targets.local(first.root), before["source"], cache=False)
    values["runner"] = before.get("runner", "subprocess")
    with launch.signals_noted() as seen, _engine(values) as opened:
        second = folder.create(first.root, named.name)
        # A registry of its own, with the champion of that time: the present one is left alone.
        values["target"]["registry"] = str(second.folder / folder.REGISTRY)
        there, here = Path(before["target"]["registry"]), Path(values["target"]["registry"])
        _bring_champion(first, there / named.name, here / named.name)
        values["reproduces"] = first.id
        # With --json, the comparison is the only answer on stdout.
        quiet = sys.stderr if as_json else sys.stdout
        return _through(second, _begun(second, values), seen, opened, False, False, quiet), second


def resume(run: Run, *, debug: bool, as_json: bool) -> int:
    """Continue a failed or interrupted run; what it finished is not done again.

    Raises:
        StepError: the run has succeeded, or is in progress.
    """
    values = run.read()
    if "cluster" in values:
        raise StepError(
            f"run {run.id} is on a cluster", advice="submit it again: its steps come from the cache", kind="settings"
        )
    if values["status"] not in {"failed", "interrupted"}:
        raise StepError(
            f"run {run.id} is {values['status']}: there is nothing to resume",
            advice=f"see suanli runs show {run.id}",
            kind="conflict",
        )
    with launch.signals_noted() as seen, _engine(values) as opened:
        values |= {"status": "running", "attempts": values["attempts"] + 1, "resumed": time.time()}
        for name in ("cause", "finished"):
            values.pop(name, None)
        for step, left in run.steps().items():
            if left["state"] != "succeeded":
                (run.folder / "steps" / f"{step}.json").unlink()
        if not opened:
            # Compiled anew by the code that is here now, which may be newer; a container keeps to its image's.
            (run.folder / "pipeline.yaml").unlink(missing_ok=True)
        run.write(values)
        return _through(run, values, seen, opened, debug, as_json)


def _bring_champion(first: Run, registry: Path, to: Path) -> None:
    """Copy the champion that a run was compared with, if it had one and that is still there."""
    version = first.steps().get("evaluate", {}).get("key", {}).get("state", "")
    published = registry / "versions" / version
    if version and published.is_dir():
        shutil.copytree(published, to / "versions" / version)
        write_atomically(to / "champion.json", json.dumps({"version": version, "replaced": ""}))


def _through(
    run: Run,
    values: dict[str, Any],
    seen: list[int],
    opened: Engine | None,
    debug: bool,
    as_json: bool,
    stream: TextIO | None = None,
) -> int:
    """Follow a run to its end, conclude its record, write its page and say what became of it."""
    stream = stream or (sys.stderr if as_json else sys.stdout)
    watched: list[Watch] = []
    with display.shown(f"{run.id}  in {run.folder}", stream) as show:

        def both(watch: Watch) -> None:
            watched[:] = [watch]
            show(watch)

        code = launch.follow(run, seen, engine=opened, cache=values["cache"], debug=debug, show=both)
    found = failure.diagnose(run, watched[0].started_last() if watched else "") if code and not seen else None
    # A step that was asked to end, or killed from outside, has no fault: the run goes on where it was.
    cut = seen or (found and found.kind == "preempted")
    values = record.concluded(run, values, "interrupted" if cut else "failed" if found else "succeeded")
    if found:
        values["cause"] = found.record()
    unwritten = _written(run, values)
    _say(run, values, as_json, stream, unwritten)
    return 128 + seen[0] if seen else int(code != 0 or bool(unwritten))


def _written(run: Run, values: dict[str, Any]) -> str:
    """Write the page and then the record of a run that has ended; why not, where one of them cannot be written.

    A run that succeeded and could not say so is interrupted: when it is resumed, every step is there already.
    """
    try:
        page.write(run, values)
        run.write(values)
    except OSError as error:
        if values["status"] == "succeeded":
            values["status"] = "interrupted"
        with suppress(OSError):
            run.write(values)
        where = error.filename2 or error.filename or run.folder
        return f"the run's record cannot be written: {error.strerror}: {where}; free space, then resume"
    return ""


def _say(run: Run, values: dict[str, Any], as_json: bool, stream: TextIO, unwritten: str) -> None:
    try:
        if as_json:
            print(json.dumps(values, indent=1))
        else:
            display.summary(values, str(run.folder / page.FILE), stream)
        if told := values.get("cause"):
            print(f"error: {failure.line(told)}", file=sys.stderr)
            if told["details"]:
                print(told["details"], file=sys.stderr)
            print(f"the whole log: {run.folder / told['log']}", file=sys.stderr)
        if unwritten:
            print(f"{'warning' if 'cause' in values else 'error'}: {unwritten}", file=sys.stderr)
        if values["status"] != "succeeded":
            print(f"to continue: suanli run --resume {run.id}", file=sys.stderr)
    except OSError:
        # The terminal has gone away; the record tells it all.
        return
