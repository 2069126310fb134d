"""Devices: the backend, the kind and number of devices, the precision, and the distribution over them."""

import importlib.util
import math
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from components.core.errors import StepError

BACKENDS = ("tensorflow", "jax", "torch")
# Kubernetes resource name -> kind of device.
RESOURCES = {"nvidia.com/gpu": "gpu", "google.com/tpu": "tpu"}
# NVIDIA's (also below WSL), AMD's, and those of a TPU VM.
DEVICE_FILES = ("nvidia[0-9]*", "dxg", "kfd", "accel*", "vfio/[0-9]*")


@dataclass(frozen=True)
class Device:
    """What a step computes on, as found rather than as requested.

    Attributes:
        kind: ``cpu``, ``gpu`` or ``tpu``.
        name: the product's name.
        count: number of devices in use; 1 for a CPU.
        threads: threads for computing on a CPU; equal results need equal numbers of threads.
        backend: Keras's.
        precision: Keras's dtype policy: ``float32``, ``mixed_bfloat16`` or ``mixed_float16``.
        deterministic: whether equal seeds give equal bytes.
    """

    kind: str
    name: str
    count: int
    threads: int
    backend: str
    precision: str
    deterministic: bool

    def __str__(self) -> str:
        return f"{self.count} x {self.kind} ({self.name}), {self.backend}, {self.precision}, {self.threads} threads"


@dataclass(frozen=True)
class Visible:
    """The devices of the best kind that a backend sees: kind, product name, count and CUDA compute capability."""

    kind: str
    name: str
    count: int
    capability: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        return f"{self.count} x {self.kind} ({self.name})"


def versions(backend: str) -> dict[str, str]:
    """Versions of the packages that affect numerical results, and the minor version of Python."""
    installed_versions = {"python": ".".join(map(str, sys.version_info[:2]))}
    for package in dict.fromkeys(("keras", "numpy", "tensorflow", backend)):
        # The CPU build of TensorFlow is a distribution with another name.
        for name in (package, f"{package}-cpu"):
            try:
                installed_versions[package] = version(name)
                break
            except PackageNotFoundError:
                continue
    return installed_versions


# --- what is available -----------------------------------------------------------------------------------------------


def installed_backends() -> list[str]:
    return [name for name in BACKENDS if importlib.util.find_spec(name)]


def choose_backend(wanted: str, accelerator_type: str = "") -> str:
    """The backend to use. ``auto`` is the image's (KERAS_BACKEND), else jax on a TPU, else the first one installed.

    Raises:
        StepError: it is not installed.
    """
    installed = installed_backends()
    if wanted == "auto":
        preset = os.environ.get("KERAS_BACKEND", "")
        tpu = RESOURCES.get(accelerator_type) == "tpu" and "jax" in installed
        wanted = preset or ("jax" if tpu else installed[0] if installed else "tensorflow")
    if wanted not in installed:
        extra = {"tensorflow": "cpu"}.get(wanted, wanted)
        raise StepError(
            f"training.backend: {wanted} is not installed here (installed: {', '.join(installed) or 'none'})",
            advice=f"install the extra suanli[{extra}] or choose another backend",
            kind="settings",
        )
    return wanted


def cpu_count() -> int:
    """Cores that this process may use: its affinity, limited by the container's quota, which TensorFlow ignores."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, math.ceil(int(quota) / int(period))))


def cpu_facts(text: str | None = None) -> tuple[str, frozenset[str]]:
    """The CPU's name and flags.

    Args:
        text: of /proc/cpuinfo; by default this machine's.
    """
    if text is None:
        path = Path("/proc/cpuinfo")
        text = path.read_text() if path.is_file() else ""
    pairs = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    return pairs.get("model name", "CPU"), frozenset(pairs.get("flags", "").split())


def may_have_accelerator() -> bool:
    """Whether this machine has a device file of one: without it no backend needs to be imported to look for one."""
    return any(path for pattern in DEVICE_FILES for path in Path("/dev").glob(pattern))


def visible(backend: str) -> Visible:
    """The devices that the backend sees: TPU chips if any, else GPUs, else the CPU."""
    find = {"tensorflow": _visible_to_tensorflow, "jax": _visible_to_jax, "torch": _visible_to_torch}[backend]
    return find() or Visible("cpu", cpu_facts()[0], 1)


def _visible_to_tensorflow() -> Visible | None:
    import tensorflow as tf

    for kind in ("TPU", "GPU"):
        devices = tf.config.list_physical_devices(kind)
        if devices:
            details = tf.config.experimental.get_device_details(devices[0])
            name, capability = details.get("device_name", kind), details.get("compute_capability", (0, 0))
            return Visible(kind.lower(), name, len(devices), capability)
    return None


def _visible_to_jax() -> Visible | None:
    import jax

    devices = jax.local_devices()
    if devices[0].platform == "cpu":
        return None
    kind = "tpu" if devices[0].platform == "tpu" else "gpu"
    major, _, minor = str(getattr(devices[0], "compute_capability", "0.0")).partition(".")
    return Visible(kind, devices[0].device_kind, len(devices), (int(major), int(minor or 0)))


def _visible_to_torch() -> Visible | None:
    import torch

    if not torch.cuda.is_available():
        return None
    # Keras's PyTorch backend drives one GPU.
    return Visible("gpu", torch.cuda.get_device_name(0), 1, torch.cuda.get_device_capability(0))


def check_promise(accelerator_type: str, accelerator_count: str, visible_devices: Visible) -> None:
    """Check that the promised accelerator is visible, instead of silently training on the CPU.

    Args:
        accelerator_type: a Kubernetes resource name, such as ``nvidia.com/gpu``; empty for none.
        accelerator_count: its number; empty or ``0`` for none.

    Raises:
        StepError: it is not visible, or a value is invalid.
    """
    if not accelerator_type or accelerator_count in {"", "0"}:
        return
    if accelerator_type not in RESOURCES:
        known = ", ".join(RESOURCES)
        raise StepError(f"unknown accelerator type {accelerator_type!r}", advice=f"use one of {known}", kind="settings")
    if not accelerator_count.isdigit():
        raise StepError(f"accelerator_count must be a whole number, not {accelerator_count!r}", kind="settings")
    if visible_devices.kind == RESOURCES[accelerator_type] and visible_devices.count >= int(accelerator_count):
        return
    raise StepError(
        f"{accelerator_count} x {accelerator_type} was promised, but this process sees {visible_devices}",
        advice="check the image, the node pool, its driver and training.backend, or submit without an accelerator",
        kind="resources",
    )


def choose_precision(wanted: str, visible_devices: Visible, flags: frozenset[str] | None = None) -> str:
    """Keras's dtype policy. ``auto`` is the fastest that the device supports in hardware.

    bfloat16 needs a TPU, an NVIDIA GPU of compute capability 8 (Ampere) or newer, or a CPU with AMX; elsewhere it is
    emulated and slower than float32. GPUs of compute capability 7 (V100, T4) have units for float16 only.
    """
    if wanted != "auto":
        return wanted
    if visible_devices.kind == "tpu":
        return "mixed_bfloat16"
    if visible_devices.kind == "gpu":
        best = ((8, "mixed_bfloat16"), (7, "mixed_float16"), (0, "float32"))
        return next(policy for major, policy in best if visible_devices.capability[0] >= major)
    return "mixed_bfloat16" if "amx_bf16" in (cpu_facts()[1] if flags is None else flags) else "float32"


# --- configuration ---------------------------------------------------------------------------------------------------


@contextmanager
def configured(
    *,
    backend: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    seed: int = 0,
    accelerator_type: str = "",
    accelerator_count: str = "0",
) -> Iterator[Device]:
    """Configure Keras for this process: backend, threads, seeds, precision and distribution. What can be undone is
    undone at the end. Keras must not have been imported with another backend.

    Raises:
        StepError: the backend is missing, or the promised accelerator is not visible.
    """
    name = choose_backend(backend, accelerator_type)
    count = threads or cpu_count()
    _import_keras(name, count, limited=bool(threads) or count < len(os.sched_getaffinity(0)))
    import keras

    visible_devices = visible(name)
    check_promise(accelerator_type, accelerator_count, visible_devices)
    policy = choose_precision(precision, visible_devices)
    device = Device(
        visible_devices.kind,
        visible_devices.name,
        visible_devices.count,
        count,
        name,
        policy,
        visible_devices.kind == "cpu",
    )
    before = keras.config.dtype_policy()
    # Restarts the numbers in the names of layers, which are part of a saved model's bytes. It also resets the policy.
    keras.utils.clear_session(free_memory=False)
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(seed)
    try:
        with _deterministic(device), _jax_data_parallel(device):
            yield device
    finally:
        keras.config.set_dtype_policy(before)


def _import_keras(backend: str, threads: int, *, limited: bool) -> None:
    loaded = sys.modules.get("keras")
    if loaded is not None and loaded.backend.backend() != backend:
        raise StepError(
            f"training.backend: Keras already runs on {loaded.backend.backend()} in this process, not on {backend}",
            advice="run the step in a process of its own",
            kind="settings",
        )
    os.environ["KERAS_BACKEND"] = backend
    if backend == "torch":
        # Triton, which torch brings on Linux, holds an LLVM, and so does TensorFlow: the second one aborts the process.
        # Only torch.compile needs it, which Keras does not use unless told to; find_spec and import say it is absent.
        sys.modules.setdefault("triton", None)  # type: ignore[arg-type]
    if limited:
        # XLA's CPU client reads it when it starts (xla/pjrt, DefaultThreadPoolSize).
        os.environ["NPROC"] = str(threads)
        _limit_threads(backend, threads)
    if backend != "tensorflow":
        # TensorFlow only provides the data and must not occupy the accelerator's memory.
        import tensorflow as tf

        tf.config.set_visible_devices([], "GPU")


def _limit_threads(backend: str, threads: int) -> None:
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        raise StepError(
            f"training.threads: TensorFlow already runs in this process, and not with {threads} threads",
            advice="run the step in a process of its own",
            kind="settings",
        ) from None
    if backend == "torch":
        import torch

        torch.set_num_threads(threads)


@contextmanager
def _deterministic(device: Device) -> Iterator[None]:
    """Use TensorFlow's deterministic kernels on a CPU, where they cost nothing; on a GPU they rule out XLA."""
    if not device.deterministic or device.backend != "tensorflow":
        yield
        return
    import tensorflow as tf
    from tensorflow.python.framework import config  # the public API cannot switch it off

    before = config.is_op_determinism_enabled()
    tf.config.experimental.enable_op_determinism()
    try:
        yield
    finally:
        if not before:
            config.disable_op_determinism()


@contextmanager
def _jax_data_parallel(device: Device) -> Iterator[None]:
    if device.backend != "jax" or device.count == 1:
        yield
        return
    import keras

    keras.distribution.set_distribution(keras.distribution.DataParallel())
    try:
        yield
    finally:
        keras.distribution.set_distribution(None)


def scope(device: Device) -> AbstractContextManager[Any]:
    """The scope to build and compile a model in: it replicates the model over the GPUs of this machine, if several."""
    if device.backend != "tensorflow" or device.kind != "gpu" or device.count == 1:
        return nullcontext()
    import tensorflow as tf

    mirrored: AbstractContextManager[Any] = tf.distribute.MirroredStrategy().scope()
    return mirrored
