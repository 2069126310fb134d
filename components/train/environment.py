"""What training will compute with, as far as its settings do not say so: a part of its cache key."""

from collections.abc import Mapping
from typing import Any

from components.core import devices
from components.core.config import validated
from components.train import lineage
from components.train.settings import TrainingSettings


def environment(training: Mapping[str, Any], accelerator_type: str, **_: Any) -> str:
    """Backend, precision, threads and devices, such as ``tensorflow, float32, 2 threads, 1 x cpu``.

    A resumed run keeps its precision; if it goes on from checkpoints of other code, these are named.

    Raises:
        StepError: a setting is impossible, or the backend is not installed.
    """
    settings: TrainingSettings = validated("training", training)
    backend = devices.choose_backend(settings.backend, accelerator_type)
    visible = devices.visible(backend) if devices.may_have_accelerator() else devices.Visible("cpu", "", 1)
    noted = lineage.read(lineage.running())
    wanted = noted["precision"] if noted and settings.precision == "auto" else settings.precision
    precision = devices.choose_precision(wanted, visible)
    origin = lineage.origin_of(noted) if noted else ""
    return (
        f"{backend}, {precision}, {settings.threads or devices.cpu_count()} threads, {visible.count} x {visible.kind}"
        + f", from {origin}" * bool(origin)
    )
