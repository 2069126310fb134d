"""A Kubeflow server that counts schedules, and a schedule to create there."""

from typing import Any

import kubeflow
import kubeflow_pipeline

from pipelines.cluster.scheduling.declared import Declared, Memo
from pipelines.cluster.scheduling.schedules import Wanted

PARAMETERS = {**kubeflow_pipeline.PARAMETERS, "data": {"name": "digits", "batch": 3, "nothing": None}}


class Watched(kubeflow.FakeKubeflow):
    """A fake that counts, after each request, the schedules called nightly and those of them that are enabled."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: list[tuple[int, int]] = []

    def work(self, request: kubeflow.Request) -> tuple[int, Any]:
        answer = super().work(request)
        named = [item for item in self.recurring_runs.values() if item["display_name"] == "nightly"]
        self.counts.append((len(named), sum(item["status"] == "ENABLED" for item in named)))
        return answer

    def one(self) -> dict[str, Any]:
        (item,) = self.recurring_runs.values()
        return item

    def run(self, recurring_run_id: str, state: str = "RUNNING") -> str:
        """What the controller does at a schedule's time."""
        item = self.recurring_runs[recurring_run_id]
        kept = {"experiment_id", "pipeline_version_reference", "runtime_config"}
        body = {"display_name": "tick", **{key: item[key] for key in kept}}
        made = self.create_run(body)
        made.update(recurring_run_id=recurring_run_id, state=state)
        return str(made["run_id"])


def wanted(note: str = "", parameters: dict[str, Any] | None = None, **declared: Any) -> Wanted:
    values: dict[str, Any] = {"experiment": "digits", "accelerator": "l4", "target": "prod", **declared}
    if not values.get("every"):
        values.setdefault("cron", "0 3 * * *")
    made = Declared(**values)
    text = kubeflow_pipeline.compiled(note)
    return Wanted(
        name="nightly",
        experiment="digits",
        trigger=made.trigger("UTC"),
        pipeline="training-digits",
        text=text,
        digest=f"digest{note}",
        parameters=PARAMETERS if parameters is None else parameters,
        memo=Memo(declared=made),
        service_account="runner",
        pipeline_root="gs://bucket/root",
    )
