"""Everything that is checked before a run is submitted; after a failure nothing is sent."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from components import storage
from components.core import project
from components.core.errors import StepError
from components.data import SCHEME, DataSettings, location_fault
from components.train.settings import TrainingSettings
from pipelines.cluster import arguments, images, submitted
from pipelines.cluster.kube import access, submit_checks
from pipelines.cluster.kube.access import Access
from pipelines.cluster.kubeflow.connection import Connection
from pipelines.cluster.kubeflow.server import Server, connect, require_recent
from pipelines.compile.check_result import CheckResult
from pipelines.compile.submission import Submission
from pipelines.compile.targets import Target
from pipelines.experiment import NamedExperiment
from pipelines.hardware import fit
from pipelines.hardware.catalog import Catalog
from pipelines.hardware.ladder import Rung
from pipelines.hardware.planner import cost, jobs, plan
from pipelines.hardware.planner.plan import Estimate, Refusal

# The planner's answer for a rung: an estimate, why the rung cannot hold the job, or why there is no estimate.
RungEstimate = Estimate | Refusal | str

BUILD = "make images push TARGETS=... REGISTRY=... (images/README.md)"
OWN_DATA = "docs/own_data.md"
# Above this share of the chip's memory there is a warning.
CLOSE = 0.9


@dataclass
class Preflight:
    """The results of the preflight, the digests of the images, and the connections that it has opened."""

    results: list[CheckResult] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    server: Server | None = None
    cluster: Access | None = None

    @property
    def failures(self) -> list[CheckResult]:
        return [result for result in self.results if result.level == "fail"]

    @contextmanager
    def failing(self, what: str) -> Iterator[None]:
        """An error inside is a failed check."""
        try:
            yield
        except StepError as error:
            self.results.append(CheckResult("fail", what, error.message, error.advice))


def run_preflight(
    submission: Submission,
    experiment: NamedExperiment,
    target: Target,
    estimates: Sequence[RungEstimate],
    connection: Connection,
    *,
    kube_context: str = "",
    check_cluster: bool = True,
    needed_class: str = "",
) -> Preflight:
    """Check a submission here, at the server and in the cluster.

    Args:
        experiment: with the run's settings.
        estimates: from ``estimate_rungs``.
        kube_context: the kubeconfig's context to read nodes and quotas through; empty for its current one.
        check_cluster: whether they are read.
        needed_class: the compute class that will be created before the run starts, and so may not exist yet.
    """
    preflight = Preflight()
    with preflight.failing("settings"):
        preflight.results += offline(submission, target, estimates, experiment.experiment.training)
        preflight.results += _images(submission, preflight.digests)
    preflight.results += buckets(target)
    preflight.results += data(experiment.experiment.data, target)
    if problem := experiment.experiment.gate_problem():
        preflight.results.append(CheckResult("warn", "gate", problem))
    with preflight.failing("server"):
        server = preflight.server = connect(connection)
        version = require_recent(server) or "unknown version"
        preflight.results.append(CheckResult("ok", "server", f"{server.host}, {version}"))
    if not check_cluster:
        preflight.results.append(CheckResult("warn", "cluster", "not checked, as requested"))
        return preflight
    with preflight.failing("cluster"):
        preflight.cluster = access.connect(kube_context)
        checks = submit_checks.check(
            preflight.cluster,
            connection.namespace,
            submission.pods,
            service_account=target.service_account,
            queue=submission.queue,
            pipeline_root=target.pipeline_root,
            autopilot=target.autopilot,
            accelerator=submission.rungs[0].row.name if submission.rungs else "",
        )
        to_create = f"compute class {needed_class}" if needed_class else ""
        preflight.results += [result for result in checks if result.what != to_create]
    return preflight


def estimate_rungs(
    experiment: NamedExperiment, rungs: Sequence[Rung], root: Path, catalog: Catalog
) -> list[RungEstimate]:
    """The planner's estimate for each rung, corrected by the measurements of this experiment's runs on clusters.

    Args:
        root: the folder of runs.
    """
    calibrations = submitted.calibrations(submitted.finished(root, experiment.name), catalog)
    try:
        job = jobs.from_experiment(experiment)
    except StepError as error:
        # Its advice names options of suanli plan.
        return [error.message for _ in rungs]
    estimates: list[RungEstimate] = []
    for rung in rungs:
        if reason := plan.misfit(job, rung.row):
            estimates.append(Refusal(rung.row.name, reason))
        else:
            estimates += plan.plan(job, [rung.row], calibrations=calibrations).lines
    return estimates


def offline(
    submission: Submission, target: Target, estimates: Sequence[RungEstimate], training: TrainingSettings
) -> Iterator[CheckResult]:
    """The checks that need neither server nor cluster nor a registry of images.

    Raises:
        StepError: the run's parameters do not fit the compiled file.
    """
    arguments.check(submission.text, submission.parameters)
    count = len(submission.parameters)
    yield CheckResult("ok", "pipeline", f"{submission.pipeline} {submission.digest}, {count} parameters")
    for rung, estimate in zip(submission.rungs, estimates, strict=True):
        yield _hardware(rung, training)
        match estimate:
            case str():
                yield CheckResult("warn", f"{rung} estimate", f"none: {estimate}")
            case Refusal():
                yield CheckResult("fail", str(rung), estimate.reason)
            case Estimate():
                yield _memory(rung, estimate)
                yield _time(rung, estimate)
        if rung.spot and not target.checkpoint_root.startswith("gs://"):
            loss = _loss(estimate) if isinstance(estimate, Estimate) else ""
            yield CheckResult(
                "warn",
                f"{rung} checkpoints",
                f"checkpoint_root {target.checkpoint_root} is not a bucket, and is lost with a preempted node{loss}",
                "give the target a gs:// checkpoint_root, or a mounted volume that outlives the pod",
            )
    yield from roots(target, "data_root", "registry")


def data(settings: DataSettings, target: Target) -> Iterator[CheckResult]:
    """Whether the pods can read the files and folders that the data section names."""
    for setting, location in settings.locations().items():
        what, path = f"data.{setting}", project.path(location)
        if storage.is_remote(location):
            fault = location_fault(location)
            yield CheckResult("fail" if fault else "ok", what, fault or location, f"set {what}" if fault else "")
        elif any(path.is_relative_to(shared) for shared in target.shared_paths):
            yield CheckResult("ok", what, f"{location}, which every pod has")
        elif SCHEME.match(location):
            yield CheckResult("fail", what, location_fault(location), f"copy it to a bucket ({OWN_DATA})")
        else:
            recursive = "--recursive " if path.is_dir() else ""
            bucket = f"gs://{target.data_root.removeprefix('gs://').partition('/')[0]}"
            there = f"{bucket if storage.is_remote(target.data_root) else 'gs://BUCKET'}/own/{path.name}"
            yield CheckResult(
                "fail",
                what,
                f"{location} is on this machine, and the run's pods do not see it",
                f"gcloud storage cp {recursive}{path} {there}, then --set {what}={there} ({OWN_DATA})",
            )


def _hardware(rung: Rung, training: TrainingSettings) -> CheckResult:
    row = rung.row
    price = "price not known" if rung.price is None else f"{rung.price:.2f} USD an hour"
    topology = f", topology {row.topology}" if row.topology else ""
    precision = fit.precision(training.precision, row)
    return CheckResult("ok", str(rung), f"{row.machine_types[0]}{topology}, {precision}, {price}")


def _memory(rung: Rung, estimate: Estimate) -> CheckResult:
    memory, limit = estimate.memory, estimate.memory_limit
    text = f"{memory / 2**30:.1f} of {limit / 2**30:.1f} GiB a chip at this batch"
    if memory > CLOSE * limit:
        return CheckResult("warn", f"{rung} memory", text, "close: a smaller batch is safer")
    return CheckResult("ok", f"{rung} memory", text)


def _time(rung: Rung, estimate: Estimate) -> CheckResult:
    hours, usd = estimate.hours(rung.spot), estimate.price(rung.spot)
    price = "" if usd is None else f", {usd:,.2f} USD"
    return CheckResult("ok", f"{rung} training", f"about {hours:,.2f} h{price} (suanli plan explains it)")


def _loss(estimate: Estimate) -> str:
    """The training time if each interruption starts it from the beginning, since checkpoints go with their pod."""
    work, start = estimate.seconds - estimate.start_seconds, estimate.start_seconds
    expected = cost.spot(work, start, interval=work, write=0.0, rate=cost.INTERRUPTIONS)
    if expected.seconds > 100 * estimate.seconds:
        return ": training would hardly ever end"
    return f": expect {expected.seconds / 3600:,.2f} h instead of {estimate.hours(spot=True):,.2f} h"


def roots(target: Target, *names: str) -> Iterator[CheckResult]:
    """Warnings about those of a target's roots that are not buckets."""
    for name in names:
        root = getattr(target, name)
        if not root.startswith("gs://"):
            advice = "use gs://, or a volume that all pods mount"
            yield CheckResult("warn", name, f"{root} is each pod's own disk", advice)


def buckets(target: Target, *, write: bool = False) -> Iterator[CheckResult]:
    """Try each bucket of a target's roots, as this user; the runs have an account of their own.

    Args:
        write: whether a small object is written below each root, read and removed, too.
    """
    roots: dict[str, list[str]] = {}
    for root in (target.data_root, target.checkpoint_root, target.registry, target.pipeline_root):
        if root.startswith("gs://"):
            roots.setdefault(root.split("/")[2], []).append(root)
    for bucket, below in roots.items():
        what = f"bucket {bucket}"
        try:
            if write:
                yield from _rights(what, dict.fromkeys(below))
            else:
                storage.probe(f"gs://{bucket}")
                yield CheckResult("ok", what, "exists, and you may list it")
        except StepError as error:
            if type(error.__cause__).__name__ == "NotFound":
                advice = f"correct targets.toml, or create it: gcloud storage buckets create gs://{bucket}"
                yield CheckResult("fail", what, "does not exist", advice)
            else:
                yield CheckResult("warn", what, f"not known whether runs may use it: {error.message}", error.advice)


def _rights(what: str, roots: Iterable[str]) -> Iterator[CheckResult]:
    """A warning for each root below which this user lacks a right, or one result for all."""
    missing = {root: rights for root in roots if (rights := storage.missing_rights(root))}
    for root, rights in missing.items():
        lacking = "; ".join(f"{right} is missing (you cannot {act})" for right, act in rights.items())
        advice = (
            "runs have an account of their own; grant yours the role as well: gcloud storage buckets "
            f"add-iam-policy-binding gs://{root.split('/')[2]} --role=roles/storage.objectAdmin --member=user:YOU"
        )
        yield CheckResult("warn", what, f"{root}: {lacking}", advice)
    if not missing:
        yield CheckResult("ok", what, f"you may list, write, read and remove below {', '.join(roots)}")


def _images(submission: Submission, digests: dict[str, str]) -> Iterator[CheckResult]:
    """One result for each image; one for all images that could not be looked up for the same reason.

    Args:
        digests: gets the digest of each image that its registry tells.
    """
    steps: dict[str, list[str]] = {}
    for pod in submission.pods:
        steps.setdefault(pod.image, []).append(pod.step)
    unknown: dict[str, list[str]] = {}
    for image, users in steps.items():
        answer = images.look_up(image)
        match answer.state:
            case "present":
                digests |= {image: answer.digest} if answer.digest else {}
                yield CheckResult("ok", f"image of {', '.join(users)}", image)
            case "absent":
                yield CheckResult("fail", f"image of {', '.join(users)}", f"{image} is not in its registry", BUILD)
            case "unknown":
                unknown.setdefault(answer.reason, []).extend(users)
    for reason, users in unknown.items():
        yield CheckResult("warn", f"images of {', '.join(users)}", f"not looked up: {reason}")
