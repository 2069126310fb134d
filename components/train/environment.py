"""What training will compute with, where its settings leave that to the machine: a part of its cache key."""

from collections.abc import Mapping
from typing import Any

from components.core import devices
from components.core.config import validated
from components.train.settings import TrainingSettings


def environment(training: Mapping[str, Any], accelerator_type: str, **_: Any) -> str:
    """Backend, number format, threads and devices, such as ``tensorflow, float32, 2 threads, 1 x cpu``.

    Raises:
        StepError: a setting is impossible, or the backend is not installed.
    """
    settings: TrainingSettings = validated("training", training)
    backend = devices.choose_backend(settings.backend, accelerator_type)
    visible = devices.visible(backend) if devices.may_have_accelerator() else devices.Visible("cpu", "", 1)
    precision = devices.choose_precision(settings.precision, visible)
    return (
        f"{backend}, {precision}, {settings.threads or devices.cpu_count()} threads, {visible.count} x {visible.kind}"
    )
