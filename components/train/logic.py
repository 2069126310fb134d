"""Train a Keras model on prepared data, resuming from the newest checkpoint if any."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from components.core import devices, progress, sources
from components.core.artifacts import Artifact
from components.core.choices import load, nearest
from components.core.config import fingerprint, validated
from components.core.errors import PREPARE_AGAIN, StepError
from components.core.examples import PreparedData
from components.models import ModelSettings
from components.tasks import contract, misfit
from components.tasks.contract import Training
from components.train import lineage
from components.train.lineage import Lineage
from components.train.settings import TrainingSettings, count_steps

if TYPE_CHECKING:
    import keras

    from components.train.checkpoint_file import TrainingState

# The number of examples for which a task may show something after each epoch.
SAMPLES = 6


def train(
    examples: Artifact,
    model: dict[str, Any],
    training: dict[str, Any],
    checkpoint_root: str,
    accelerator_type: str,
    accelerator_count: str,
    trained: Artifact,
    metrics: Artifact,
    curves: Artifact,
    logs: Artifact,
) -> None:
    """Train and write the model, its record, the learning curves and TensorBoard's events.

    Args:
        examples: the prepared data.
        model: the model section.
        training: the training section.
        checkpoint_root: where checkpoints are kept.
        accelerator_type: the promised resource, such as ``nvidia.com/gpu``; empty for none.
        accelerator_count: its number.
        trained: becomes a folder: ``model.keras``, ``history.json`` (metric -> value after each epoch) and
            ``training.json``. The same data, settings and threads give the same bytes on a CPU.
        metrics: gets the final losses and metrics, the speed and the device.
        curves: becomes an HTML page.
        logs: becomes a folder of TensorBoard's event files.

    Raises:
        StepError: settings do not fit the data or this machine, the promised accelerator is not visible, the loss is
            not finite, memory ran out, a resumed run has other code, or (kind ``preempted``) SIGTERM has come and a
            checkpoint is written, or another run has taken over.
    """
    architecture: ModelSettings = validated("model", model)
    settings: TrainingSettings = validated("training", training)
    data = PreparedData.read(examples.path)
    steps = check(data, architecture, settings)
    fingerprints = {"data": data.fingerprint, "model": architecture.fingerprint(), "training": settings.fingerprint()}
    started = time.perf_counter()
    with devices.configured(
        backend=settings.backend,
        precision=settings.precision,
        threads=settings.threads,
        seed=settings.seed,
        accelerator_type=accelerator_type,
        accelerator_count=accelerator_count,
    ) as device:
        # These import TensorFlow and Keras, and Keras reads its backend from the environment when it is imported.
        from components.train import compiling, inputs, loop, results
        from components.train.checkpoint_file import Provenance
        from components.train.checkpoint_store import CheckpointStore

        check_devices(settings, device)
        own = _lineage(data, architecture, fingerprints, device)
        own = lineage.resolve(own, checkpoint_root, automatic=settings.precision == "auto")
        if own.precision != device.precision:
            device = compiling.in_precision(device, own.precision)
            progress.log("train", f"this training has begun in {own.precision} and goes on in it")
        provenance = Provenance(own.folder, settings.seed, device.threads)
        store = CheckpointStore.under(checkpoint_root, provenance, settings.checkpoint_kept, own.origin)
        store.observe()
        role = contract.Task(data.task, data.info).training
        network = _network(data, architecture, settings, role, device)
        assets = role.assets(network)
        input_fn = role.input_fn(assets)
        split = inputs.open_split(data, "train", input_fn, role.augment)
        split = replace(split, class_weights=class_weights(settings, data))
        validation = inputs.open_split(data, "validation", input_fn) if data.splits.get("validation") else None
        with devices.scope(device):
            arguments = role.compile_arguments(network)
            compiling.compile_model(network, arguments, split.zero_targets(), settings, steps, device)
        with store.lease():
            board = results.TensorBoardLog(logs.path)
            samples = _sampler(network, role, data, assets)
            state, throughput, goodput = loop.fit(
                network, split, validation, settings, device, store, board.write, samples
            )
            board.write(state, {})
            board.close()
            record = _record(network, state, data, architecture, settings, device)
            record["fingerprints"] = {**fingerprints, "training code": sources.digest(own.code)}
            speed = {
                "examples_per_second": round(throughput.rate, 1),
                "seconds": round(time.perf_counter() - started, 3),
                "device": str(device),
            } | goodput.metrics()
            store.check()
            results.write(network, state, settings, record, speed, trained, metrics, curves)
            store.finish()


def _lineage(
    data: PreparedData, architecture: ModelSettings, fingerprints: Mapping[str, str], device: devices.Device
) -> Lineage:
    """The lineage of a training in this process."""
    code, versions = lineage.installed({"tasks": data.task, "models": architecture.name})
    return Lineage(fingerprint(fingerprints), code, versions, device.backend, device.precision)


def _record(
    network: "keras.Model",
    state: "TrainingState",
    data: PreparedData,
    architecture: ModelSettings,
    settings: TrainingSettings,
    device: devices.Device,
) -> dict[str, Any]:
    """Facts about the model for later steps. Their cache keys depend on it, so it has no times and no rates."""
    return {
        "name": architecture.name,
        "task": data.task,
        "input_shape": list(network.input_shape[1:]),
        "parameters": network.count_params(),
        "epochs": state.epochs,
        "best_epoch": state.best_epoch,
        "seed": settings.seed,
        "backend": device.backend,
        "precision": device.precision,
        "threads": device.threads,
        "deterministic": device.deterministic,
        "versions": devices.versions(device.backend),
        **({"other_code": state.other_code} if state.other_code else {}),
    }


def check(data: PreparedData, architecture: ModelSettings, settings: TrainingSettings) -> int:
    """The number of steps per epoch.

    Raises:
        StepError: settings and data do not fit each other.
    """
    count = data.require("train")
    if settings.batch_size > count:
        raise StepError(
            f"training.batch_size: a batch of {settings.batch_size} is larger than the train split of {count}",
            advice=f"use at most {count}",
            kind="settings",
        )
    if settings.patience and not data.splits.get("validation"):
        raise StepError(
            f"training.patience: {settings.patience} epochs of patience need a validation split",
            advice="give data.split a second fraction above 0, or set training.patience=0",
            kind="settings",
        )
    if problem := misfit(data.task, architecture, settings.augmentation, settings.class_weight):
        raise StepError(problem, kind="settings")
    class_weights(settings, data)
    steps = count_steps(count, settings.batch_size, settings.steps_per_epoch, whole_batches=True)
    if settings.warmup_steps and settings.warmup_steps >= steps * settings.epochs:
        raise StepError(
            f"training.warmup_steps: {settings.warmup_steps} of {steps * settings.epochs} steps leave none to train",
            advice=f"use fewer than {steps * settings.epochs}",
            kind="settings",
        )
    return steps


def class_weights(settings: TrainingSettings, data: PreparedData) -> list[float] | None:
    """What an example of each class counts in the loss; None if all count the same.

    Raises:
        StepError: a class is unknown, or the data do not tell how many examples a class has.
    """
    names: list[str] = data.info.get("classes", [])
    if isinstance(settings.class_weight, dict):
        if unknown := sorted(settings.class_weight.keys() - set(names)):
            raise StepError(
                f"training.class_weight: unknown class {unknown[0]!r}",
                advice=nearest(unknown[0], names),
                kind="settings",
            )
        return [settings.class_weight.get(name, 1.0) for name in names]
    if settings.class_weight == "none":
        return None
    counts: list[float] | None = data.info.get("class_counts")
    if counts is None:
        raise StepError("the prepared data do not tell how many examples each class has", advice=PREPARE_AGAIN)
    share = sum(counts) / sum(count > 0 for count in counts)
    return [share / count if count else 1.0 for count in counts]


def check_devices(settings: TrainingSettings, device: devices.Device) -> None:
    """Check that a batch can be divided evenly.

    Raises:
        StepError: it cannot.
    """
    if settings.batch_size % device.count:
        raise StepError(
            f"training.batch_size: {settings.batch_size} cannot be divided over {device.count} devices",
            advice=f"use a multiple of {device.count}",
            kind="settings",
        )


def _network(
    data: PreparedData,
    architecture: ModelSettings,
    settings: TrainingSettings,
    role: Training[Any],
    device: devices.Device,
) -> "keras.Model":
    import keras

    arguments = role.arguments(architecture, data)
    if problem := architecture.problem(tuple(arguments.get("input_shape", ()))):
        raise StepError(f"model: {problem}", kind="settings")
    # Keras draws the seeds of initializers and of Dropout from Python's generator, and so does the library of Cloud
    # Storage for its waits between retries: nothing may be read or written between these two lines.
    keras.utils.set_random_seed(settings.seed)
    with devices.scope(device):
        network: keras.Model = load("models", architecture.name).build(architecture, **arguments)
    print(f"{network.name}: {network.count_params():,} parameters on {device}", flush=True)
    return network


def _sampler(
    network: "keras.Model", role: Training[Any], data: PreparedData, assets: dict[str, Any]
) -> Callable[[int], list[str]] | None:
    """What the task shows after each epoch, from a seed; None if it shows nothing."""
    if not contract.overrides(role, "epoch_samples"):
        return None
    tensors = next(iter(data.batches("validation" if data.splits.get("validation") else "train", SAMPLES)))
    batch = {name: tensor.numpy() for name, tensor in tensors.items()}
    return lambda seed: role.epoch_samples(network, assets, batch, seed)
