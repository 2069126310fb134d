"""The verdict of evaluate on the model: its decision and metrics."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.core.errors import StepError

VERDICT, PREDICTIONS = "verdict.json", "predictions.npz"


@dataclass(frozen=True)
class Verdict:
    """The decision and its basis.

    Attributes:
        champion: the version that the model was compared with, if any.
        difference: how much better it was found, in the paired metric; None without a champion.
        reasons: of the decision.
        metrics: flat; ``NAME_low`` and ``NAME_high`` are the bounds of NAME's 95% interval.
        metric: the task's paired metric, by which models are compared.
        baseline: a simple method's metrics, ``baseline_NAME``, if any.
        slices: name, examples, metrics, and whether it counts for the gate.
        settings: the evaluation section.
        data: the data's fingerprint.
        examples: number of test examples.
    """

    champion: str
    difference: float | None
    reasons: list[str]
    metrics: dict[str, float]
    metric: str
    baseline: dict[str, float]
    slices: list[dict[str, Any]]
    worst_slice: str
    settings: dict[str, Any]
    data: str
    examples: int

    @classmethod
    def read(cls, folder: Path, data: str) -> "Verdict":
        """Read the verdict's folder.

        Args:
            data: the fingerprint of the present data.

        Raises:
            StepError: it refuses the model, is about other data, or is damaged.
        """
        try:
            values = json.loads((folder / VERDICT).read_text())
            accepted = values["accepted"]
            verdict = cls(
                champion=values["champion"] or "",
                difference=(values.get("comparison") or {}).get("difference"),
                reasons=values["reasons"],
                metrics=values["metrics"],
                metric=values["paired_metric"],
                baseline=values["baseline"],
                slices=values["slices"],
                worst_slice=values["worst_slice"] or "",
                settings=values["settings"],
                data=values["data"],
                examples=values["examples"],
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise StepError(
                f"{VERDICT} cannot be read ({type(error).__name__}: {error})", advice="evaluate again"
            ) from None
        if not accepted:
            raise StepError("the verdict refuses this model", advice="only accepted models are exported", kind="model")
        if verdict.data != data:
            raise StepError(
                f"the verdict is about the data {verdict.data}, these are {data}", advice="evaluate again", kind="model"
            )
        return verdict

    def interval(self, name: str) -> tuple[float, float] | None:
        """The bounds of a metric's 95% interval, if any."""
        if f"{name}_low" not in self.metrics:
            return None
        return self.metrics[f"{name}_low"], self.metrics[f"{name}_high"]

    def metric_names(self) -> list[str]:
        """The metrics without the bounds of their intervals, the paired one first."""
        ends = {f"{name}{end}" for name in self.metrics for end in ("_low", "_high")}
        return sorted((name for name in self.metrics if name not in ends), key=lambda name: (name != self.metric, name))
