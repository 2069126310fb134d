"""What can be told before anything is sent: each check one line, and nothing started where one fails."""

from collections.abc import Iterator, Sequence

from components.train.settings import TrainingSettings
from pipelines.cluster import arguments, images
from pipelines.compile.check_result import CheckResult
from pipelines.compile.submission import Submission
from pipelines.compile.targets import Target
from pipelines.hardware import fit
from pipelines.hardware.ladder import Rung
from pipelines.hardware.planner import cost
from pipelines.hardware.planner.plan import Estimate, Refusal

# What the planner says of a rung: an estimate, why the rung cannot hold the job, or why it cannot tell.
RungEstimate = Estimate | Refusal | str

BUILD = "make images push TARGETS=... REGISTRY=... (images/README.md)"
# Below this share of the chip's memory, nothing needs to be said.
CLOSE = 0.9


def offline(
    submission: Submission, target: Target, lines: Sequence[RungEstimate], training: TrainingSettings
) -> Iterator[CheckResult]:
    """The checks that need no cluster.

    Args:
        lines: what the planner says of each rung.

    Raises:
        StepError: the run's parameters do not fit the compiled file.
    """
    arguments.check(submission.text, submission.parameters)
    yield CheckResult(
        "ok", "pipeline", f"{submission.pipeline} {submission.digest}, {len(submission.parameters)} parameters"
    )
    for rung, line in zip(submission.rungs, lines, strict=True):
        yield _hardware(rung, training)
        if isinstance(line, str):
            yield CheckResult("warn", f"{rung} estimate", f"none: {line}")
        if isinstance(line, Refusal):
            yield CheckResult("fail", str(rung), line.reason)
        if isinstance(line, Estimate):
            yield _memory(rung, line)
            yield _time(rung, line)
        if rung.spot:
            yield from _spot(rung, target, line if isinstance(line, Estimate) else None)
    yield from roots(target, "data_root", "registry")
    yield from _images(submission)


def _hardware(rung: Rung, training: TrainingSettings) -> CheckResult:
    row = rung.row
    price = "price not known" if rung.price is None else f"{rung.price:.2f} USD an hour"
    topology = f", topology {row.topology}" if row.topology else ""
    computed = fit.precision(training.precision, row)
    return CheckResult("ok", str(rung), f"{row.machine_types[0]}{topology}, {computed}, {price}")


def _memory(rung: Rung, line: Estimate) -> CheckResult:
    found = f"{line.memory / 2**30:.1f} of {line.memory_limit / 2**30:.1f} GiB a chip at this batch"
    if line.memory > CLOSE * line.memory_limit:
        return CheckResult("warn", f"{rung} memory", found, "close: a smaller batch is safer")
    return CheckResult("ok", f"{rung} memory", found)


def _time(rung: Rung, line: Estimate) -> CheckResult:
    hours, usd = (line.hours(rung.spot), line.price(rung.spot))
    price = "" if usd is None else f", {usd:,.2f} USD"
    return CheckResult("ok", f"{rung} training", f"about {hours:,.2f} h{price} (suanli plan explains it)")


def _spot(rung: Rung, target: Target, line: Estimate | None) -> Iterator[CheckResult]:
    """A checkpoint on the pod's own disk goes with the pod."""
    if target.checkpoint_root.startswith("gs://"):
        return
    yield CheckResult(
        "warn",
        f"{rung} checkpoints",
        f"checkpoint_root {target.checkpoint_root} is no bucket, and is lost with a preempted node{_loss(line)}",
        "give the target a gs:// checkpoint_root, or a mounted volume that outlives the pod",
    )


def _loss(line: Estimate | None) -> str:
    """What training takes where each interruption starts it from the beginning."""
    if not line:
        return ""
    work, start = line.seconds - line.start_seconds, line.start_seconds
    expected = cost.spot(work, start, interval=work, write=0.0, rate=cost.INTERRUPTIONS)
    if expected.seconds > 100 * line.seconds:
        return ": training would hardly ever end"
    return f": expect {expected.seconds / 3600:,.2f} h instead of {line.hours(spot=True):,.2f} h"


def roots(target: Target, *names: str) -> Iterator[CheckResult]:
    """Those of a target's roots that are no bucket."""
    for name in names:
        place = getattr(target, name)
        if not place.startswith("gs://"):
            yield CheckResult(
                "warn", name, f"{place} is each pod's own disk", "use gs://, or a volume that all pods mount"
            )


def _images(submission: Submission) -> Iterator[CheckResult]:
    """Each image once; those that could not be looked up for one reason together."""
    steps: dict[str, list[str]] = {}
    for pod in submission.pods:
        steps.setdefault(pod.image, []).append(pod.step)
    unseen: dict[str, list[str]] = {}
    for image, users in steps.items():
        answer = images.look_up(image)
        match answer.state:
            case "there":
                yield CheckResult("ok", f"image of {', '.join(users)}", image)
            case "absent":
                yield CheckResult("fail", f"image of {', '.join(users)}", f"{image} is not in its registry", BUILD)
            case "unknown":
                unseen.setdefault(answer.reason, []).extend(users)
    for reason, users in unseen.items():
        yield CheckResult("warn", f"images of {', '.join(users)}", f"not looked up: {reason}")
