"""A run from the command's side: check, create the folder, follow, complete the record."""

import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from components import data
from components.core.errors import StepError
from components.core.files import write_atomically
from components.core.sources import chosen_in
from components.registry import history, pointer
from components.storage import join
from components.train import lineage
from pipelines import experiment
from pipelines.compile import compiler, targets
from pipelines.local import launch
from pipelines.runs import display, failure, folder, page, record
from pipelines.runs.folder import Run
from pipelines.runs.progress import RunProgress

if TYPE_CHECKING:
    from pipelines.local.container_engine import Engine


def start(
    source: str, changes: list[str], runs: Path, *, runner: str, cache: bool, debug: bool, as_json: bool
) -> tuple[int, Run]:
    """Run an experiment from its beginning and return the command's exit status and the run.

    Raises:
        StepError: a setting is wrong, the data are not where it says, the runner has no engine or image, or the folder
            of runs cannot be written; nothing has been started or created.
    """
    named = experiment.load(source).with_settings(changes)
    data.check(named.experiment.data)
    values = {**record.initial(named, targets.local(runs), source, cache), "runner": runner}
    with launch.received_signals() as signals, _engine(values) as engine:
        run = folder.create(runs, named.name)
        return _complete(run, _begin(run, values), signals, engine, debug, as_json), run


@contextmanager
def _engine(values: dict[str, Any]) -> Iterator["Engine | None"]:
    """The container engine of a run in containers; the ids of its images join the record."""
    if values.get("runner") != "docker":
        yield None
        return
    if not find_spec("docker"):
        raise StepError(
            "the runner docker needs the Python package docker",
            advice="install the extra suanli[docker]",
            kind="settings",
        )
    from pipelines.local import container_engine

    prefix = values["target"]["image_prefix"]
    names = {step: compiler.image_name(prefix, compiler.CPU, tag) for step, tag in values["images"].items()}
    with container_engine.opened(names) as engine:
        values["image_ids"] = engine.images
        yield engine


def _begin(run: Run, values: dict[str, Any]) -> dict[str, Any]:
    """Write the record of a new run, and point ``latest`` at it."""
    if not values["cache"]:
        # A shared checkpoint is also a result of another run.
        values["target"]["checkpoint_root"] = str(run.folder / "checkpoints")
    values = {"id": run.id, **values}
    try:
        run.write(values)
        folder.point_latest(run)
    except OSError as error:
        # A folder without a record is not a run, and nobody would remove it.
        shutil.rmtree(run.folder, ignore_errors=True)
        raise StepError(
            f"cannot write the runs folder {run.root}: {error.strerror}",
            advice="free space, or give another with --runs or SUANLI_RUNS",
            kind="resources",
        ) from None
    return values


def reproduce(first: Run, *, as_json: bool) -> tuple[int, Run]:
    """Run a record again, without the cache and without publishing; return the exit status and the new run.

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
    with launch.received_signals() as signals, _engine(values) as engine:
        second = folder.create(first.root, named.name)
        # A registry of its own, with the champion of that time: the present one stays untouched.
        values["target"]["registry"] = str(second.folder / folder.REGISTRY)
        _copy_champion(first, *(Path(record["target"]["registry"]) / named.name for record in (before, values)))
        values["reproduces"] = first.id
        # With --json, the comparison alone goes to stdout.
        stream = sys.stderr if as_json else sys.stdout
        return _complete(second, _begin(second, values), signals, engine, False, False, stream), second


def resume(run: Run, *, other_code: bool, debug: bool, as_json: bool) -> int:
    """Continue a failed or interrupted run; its finished steps are not run again.

    Args:
        other_code: whether training may go on from its checkpoints though its code or libraries have changed.

    Raises:
        StepError: the run has succeeded, is in progress, or would go on with other code; nothing was started.
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
    # Its choices may be of a project that is not worked in, or gone.
    experiment.Experiment.from_sections(values["parameters"], values.get("pipeline", experiment.PIPELINE))
    _check_code(run, values, other_code)
    with launch.received_signals() as signals, _engine(values) as engine:
        values |= {"status": "running", "attempts": values["attempts"] + 1, "resumed": time.time()}
        for name in ("cause", "finished"):
            values.pop(name, None)
        for step, step_record in run.steps().items():
            if step_record["state"] != "succeeded":
                (run.folder / "steps" / f"{step}.json").unlink()
        pipeline = values.get("pipeline", experiment.PIPELINE)
        tags = record.image_tags(pipeline, values["parameters"])
        if not engine and values["images"] != tags:
            # Compiled by older code, whose modules may have had other names; a container keeps to its image's.
            (run.folder / folder.COMPILED).unlink(missing_ok=True)
            values["images"] = tags
        run.write(values)
        return _complete(run, values, signals, engine, debug, as_json)


def _check_code(run: Run, values: dict[str, Any], other_code: bool) -> None:
    """Refuse, or note in the record, that a run goes on from checkpoints of other code or libraries.

    Raises:
        StepError: it would, and may not; or it runs in containers, which keep the code of their images.
    """
    if values.get("runner") == "docker":
        if other_code:
            raise StepError(
                f"run {run.id} is in containers, which keep the code of their images",
                advice="resume it without --other-code, or start the experiment anew",
                kind="settings",
            )
        return
    noted = lineage.read(str(run.folder))
    if not noted or not lineage.checkpoints(join(values["target"]["checkpoint_root"], noted["folder"])):
        return
    changed = lineage.changes(noted, *lineage.installed(chosen_in(values["parameters"])))
    if changed and not other_code:
        raise lineage.refusal(run.id, changed)
    if changed:
        lineage.write(str(run.folder), noted | {lineage.ALLOWED: True})
        went_on = {"checkpoints": noted["folder"], "changed": changed}
        values["other_code"] = [*values.get("other_code", []), went_on]


def _copy_champion(first: Run, registry: Path, to: Path) -> None:
    """Copy the champion that a run was compared with, and the anchor if it is another one, if they still exist."""
    versions = str(first.steps().get("evaluate", {}).get("key", {}).get("state", "")).split()
    if not versions or not all((registry / "versions" / version).is_dir() for version in versions):
        return
    gains, changes = history.gains(pointer.read(str(registry)).history), list[dict[str, Any]]()
    for version in reversed(versions):
        shutil.copytree(registry / "versions" / version, to / "versions" / version)
        before = str(changes[-1]["version"]) if changes else ""
        loss = gains.get(version, 0.0) - gains.get(before, 0.0) if changes else None
        changes.append({"version": version, "replaced": before, "difference": loss})
    write_atomically(to / "champion.json", json.dumps({"version": versions[0], "history": changes}))


def _complete(
    run: Run,
    values: dict[str, Any],
    signals: list[int],
    engine: "Engine | None",
    debug: bool,
    as_json: bool,
    stream: TextIO | None = None,
) -> int:
    """Follow a run to its end, write its record and page, and print the result."""
    stream = stream or (sys.stderr if as_json else sys.stdout)
    progress = RunProgress(run.folder, values["images"])
    with display.shown(f"{run.id}  in {run.folder}", stream) as show:
        code = launch.follow(run, signals, progress, engine=engine, cache=values["cache"], debug=debug, show=show)
    cause = failure.diagnose(run, progress.started_last()) if code and not signals else None
    # A step that was asked to end, or killed from outside, is not at fault: a resumed run continues there.
    interrupted = signals or (cause and cause.kind == "preempted")
    values = record.concluded(run, values, "interrupted" if interrupted else "failed" if cause else "succeeded")
    if cause:
        values["cause"] = cause.record()
    problem = _write(run, values)
    _print_result(run, values, as_json, stream, problem)
    return 128 + signals[0] if signals else int(code != 0 or bool(problem))


def _write(run: Run, values: dict[str, Any]) -> str:
    """Write the page and then the record of a run that has ended; return why one cannot be written, or "".

    A run that succeeded without a record of it is interrupted: when it is resumed, every step is there already.
    """
    try:
        page.write(run, values)
        run.write(values)
    except OSError as error:
        if values["status"] == "succeeded":
            values["status"] = "interrupted"
        with suppress(OSError):
            run.write(values)
        path = error.filename2 or error.filename or run.folder
        return f"the run's record cannot be written: {error.strerror}: {path}; free space, then resume"
    return ""


def _print_result(run: Run, values: dict[str, Any], as_json: bool, stream: TextIO, problem: str) -> None:
    try:
        if as_json:
            print(json.dumps(values, indent=1))
        else:
            display.summary(values, str(run.folder / page.FILE), stream)
        if cause := values.get("cause"):
            print(f"error: {failure.line(cause)}", file=sys.stderr)
            if cause["details"]:
                print(cause["details"], file=sys.stderr)
            print(f"the whole log: {run.folder / cause['log']}", file=sys.stderr)
        if problem:
            print(f"{'warning' if 'cause' in values else 'error'}: {problem}", file=sys.stderr)
        if values["status"] != "succeeded":
            print(f"to continue: suanli run --resume {run.id}", file=sys.stderr)
    except OSError:
        # The terminal has gone away; the record has everything.
        return
