"""Whether a job's settings fit a row of the catalog, as far as that can be told before anything is submitted."""

from components.core.errors import StepError
from components.train.settings import TrainingSettings
from pipelines.hardware.catalog import Row

# What each image holds (pyproject's extras of the same names).
BACKENDS: dict[str, tuple[str, ...]] = {
    "cpu": ("tensorflow",),
    "gpu": ("tensorflow",),
    "tpu": ("jax",),
}


def problem(training: TrainingSettings, row: Row) -> tuple[str, str]:
    """What keeps a job from running on a row, and what to do about it; two empty texts where nothing does."""
    precision = training.precision
    if precision != "auto" and precision not in row.precisions:
        return (
            f"training.precision: {row.chip} has no {precision.removeprefix('mixed_')} units",
            f"use auto or {' or '.join(row.precisions)}",
        )
    chips = row.count if row.resource else 1
    if training.batch_size % chips:
        near = max(chips, round(training.batch_size / chips) * chips)
        return (
            f"training.batch_size: {training.batch_size} cannot be shared out over {chips} chips of {row.name}",
            f"use a multiple of {chips}, such as {near}",
        )
    if training.backend != "auto" and training.backend not in BACKENDS[row.image]:
        return (
            f"training.backend: the {row.image} image for {row.name} has no {training.backend}",
            f"use auto or {' or '.join(BACKENDS[row.image])}",
        )
    return "", ""


def check(training: TrainingSettings, row: Row) -> None:
    """Raises StepError where a job cannot run on a row."""
    wrong, advice = problem(training, row)
    if wrong:
        raise StepError(wrong, advice=advice, kind="settings")


def precision(training: TrainingSettings, row: Row) -> str:
    """The dtype policy that ``auto`` becomes there (``components.core.devices.chosen_precision``)."""
    if training.precision != "auto":
        return training.precision
    best = ("mixed_bfloat16", "mixed_float16", "float32")
    if row.kind == "cpu":
        return "mixed_bfloat16" if "mixed_bfloat16" in row.precisions else "float32"
    # A P100 (compute capability 6) computes float16 outside tensor units.
    return next(name for name in best if name in row.precisions and not (row.chip == "p100" and name != "float32"))
