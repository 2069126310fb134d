"""Whether a job's settings fit a row of the catalog, as far as can be checked before submission."""

from components.core.errors import StepError
from components.train.settings import TrainingSettings
from pipelines.hardware.catalog import Row

# Image -> its backends (pyproject's extras of the same names).
BACKENDS: dict[str, tuple[str, ...]] = {
    "cpu": ("tensorflow",),
    "gpu": ("tensorflow",),
    "tpu": ("jax",),
}
# Float16 products this much faster than float32 ones come from tensor cores, which P100 lacks.
TENSOR_CORES = 3.0


def check(training: TrainingSettings, row: Row) -> None:
    """Refuse a job that cannot run on a row.

    Raises:
        StepError: the row has no units for its precision, its batch cannot be divided, or the image lacks its backend.
    """
    policy = training.precision
    if policy != "auto" and policy not in row.precisions:
        raise StepError(
            f"training.precision: {row.chip} has no {policy.removeprefix('mixed_')} units",
            advice=f"use auto or {' or '.join(row.precisions)}",
            kind="settings",
        )
    chips = row.count if row.resource else 1
    if training.batch_size % chips:
        near = max(chips, round(training.batch_size / chips) * chips)
        raise StepError(
            f"training.batch_size: {training.batch_size} cannot be divided among {chips} chips of {row.name}",
            advice=f"use a multiple of {chips}, such as {near}",
            kind="settings",
        )
    if training.backend != "auto" and training.backend not in BACKENDS[row.image]:
        raise StepError(
            f"training.backend: the {row.image} image for {row.name} has no {training.backend}",
            advice=f"use auto or {' or '.join(BACKENDS[row.image])}",
            kind="settings",
        )


def precision(setting: str, row: Row) -> str:
    """The dtype policy of training on a row; ``auto`` is resolved as in components/core/devices.py."""
    if setting != "auto":
        return setting
    if "mixed_bfloat16" in row.precisions:
        return "mixed_bfloat16"
    fast = row.peak.get("mixed_float16", 0.0) > TENSOR_CORES * row.peak["float32"]
    return "mixed_float16" if fast and row.kind == "gpu" else "float32"
