"""Train a Keras model on prepared data, from the newest checkpoint if there is one."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from components.core import devices
from components.core.artifacts import Artifact
from components.core.choices import load
from components.core.config import fingerprint, validated
from components.core.errors import StepError
from components.core.examples import PreparedData
from components.models import ModelSettings
from components.tasks import contract, misfit
from components.tasks.contract import Training
from components.train.settings import TrainingSettings, count_steps

if TYPE_CHECKING:
    import keras

    from components.train.checkpoint_file import Progress

# Examples that a task may show after each epoch what has become of.
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
        accelerator_count: how many of it.
        trained: becomes a folder: ``model.keras``, ``history.json`` (metric -> value after each epoch) and
            ``training.json``. The same data, settings and threads give the same bytes on a CPU.
        metrics: gets the final losses and metrics, the speed and the device.
        curves: becomes an HTML page.
        logs: becomes a folder of TensorBoard's event files.

    Raises:
        StepError: settings do not fit the data or this machine, the promised accelerator is not visible, the loss is
            not finite, memory ran out, or (kind ``preempted``) SIGTERM has come: its last checkpoint is written then.
    """
    architecture: ModelSettings = validated("model", model)
    settings: TrainingSettings = validated("training", training)
    data = PreparedData.read(examples.path)
    steps = check(data, architecture, settings)
    prints = {"data": data.fingerprint, "model": architecture.fingerprint(), "training": settings.fingerprint()}
    began = time.perf_counter()
    with devices.opened(
        backend=settings.backend,
        precision=settings.precision,
        threads=settings.threads,
        seed=settings.seed,
        accelerator_type=accelerator_type,
        accelerator_count=accelerator_count,
    ) as device:
        # TensorFlow and Keras come with these, and Keras reads its backend from the environment as it is imported.
        from components.train import compiling, inputs, loop, results
        from components.train.checkpoint_file import Origin
        from components.train.checkpoint_store import Checkpoints

        check_devices(settings, device)
        role = contract.Task(data.task, data.info).training
        network = _network(data, architecture, settings, role, device)
        assets = role.assets(network)
        input_fn = role.input_fn(assets)
        split = inputs.opened(data, "train", input_fn, role.augment)
        validation = inputs.opened(data, "validation", input_fn) if data.splits.get("validation") else None
        with devices.scope(device):
            arguments = role.compile_arguments(network)
            compiling.make_ready(network, arguments, split.any_targets(), settings, steps, device)
        origin = Origin(fingerprint(prints), settings.seed, device.threads)
        kept = Checkpoints.under(checkpoint_root, origin, settings.checkpoint_kept)
        with kept.lease():
            board = results.Board(logs.path)
            show = _sampler(network, role, data, assets)
            done, clock, ledger = loop.fit(network, split, validation, settings, device, kept, board.write, show)
            board.write(done, {})
            board.close()
            record = _record(network, done, data, architecture, settings, device) | {"fingerprints": prints}
            speed = {
                "examples_per_second": round(clock.rate, 1),
                "seconds": round(time.perf_counter() - began, 3),
                "device": str(device),
            } | ledger.metrics()
            results.write(network, done, settings, record, speed, trained, metrics, curves)
            kept.remove()


def _record(
    network: "keras.Model",
    done: "Progress",
    data: PreparedData,
    architecture: ModelSettings,
    settings: TrainingSettings,
    device: devices.Device,
) -> dict[str, Any]:
    """What later steps read about the model. Their cache keys are digests of it: no times, no rates."""
    return {
        "name": architecture.name,
        "task": data.task,
        "input_shape": list(network.input_shape[1:]),
        "parameters": network.count_params(),
        "epochs": done.epochs,
        "best_epoch": done.best_epoch,
        "seed": settings.seed,
        "backend": device.backend,
        "precision": device.precision,
        "threads": device.threads,
        "deterministic": device.deterministic,
        "versions": devices.versions(device.backend),
    }


def check(data: PreparedData, architecture: ModelSettings, settings: TrainingSettings) -> int:
    """The number of steps an epoch, if settings and data fit each other.

    Raises:
        StepError: they do not.
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
    if problem := misfit(data.task, architecture, settings.augmentation):
        raise StepError(problem, kind="settings")
    steps = count_steps(count, settings.batch_size, settings.steps_per_epoch, whole_batches=True)
    if settings.warmup_steps and settings.warmup_steps >= steps * settings.epochs:
        raise StepError(
            f"training.warmup_steps: {settings.warmup_steps} leave nothing of {steps * settings.epochs} steps",
            advice=f"use fewer than {steps * settings.epochs}",
            kind="settings",
        )
    return steps


def check_devices(settings: TrainingSettings, device: devices.Device) -> None:
    """A global batch must be shared out evenly.

    Raises:
        StepError: it cannot be.
    """
    if settings.batch_size % device.count:
        raise StepError(
            f"training.batch_size: {settings.batch_size} cannot be shared out over {device.count} devices",
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
    arguments = role.arguments(architecture, data)
    if problem := architecture.problem(tuple(arguments.get("input_shape", ()))):
        raise StepError(f"model: {problem}", kind="settings")
    # Keras draws the seeds of initializers and of Dropout from Python's generator, and so does the library of Cloud
    # Storage when it waits before it tries again: nothing may be read or written between these two lines.
    devices.seeded(settings.seed)
    with devices.scope(device):
        network: keras.Model = load("models", architecture.name).build(architecture, **arguments)
    print(f"{network.name}: {network.count_params():,} parameters on {device}", flush=True)
    return network


def _sampler(
    network: "keras.Model", role: Training[Any], data: PreparedData, assets: dict[str, Any]
) -> Callable[[int], list[str]] | None:
    """What the task shows after each epoch, if it shows anything; a seed decides about its draws."""
    if not contract.overrides(role, "epoch_samples"):
        return None
    tensors = next(iter(data.batches("validation" if data.splits.get("validation") else "train", SAMPLES)))
    batch = {name: tensor.numpy() for name, tensor in tensors.items()}
    return lambda seed: role.epoch_samples(network, assets, batch, seed)
