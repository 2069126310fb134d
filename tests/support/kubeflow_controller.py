"""What a test does to the runs of the fake Kubeflow server, in the place of Argo's controller."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

Item = dict[str, Any]
FINAL = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")


class Controller:
    """The runs, and a clock."""

    def __init__(self) -> None:
        self.runs: dict[str, Item] = {}
        self._clock = datetime(2026, 11, 1, tzinfo=UTC)

    def now(self) -> str:
        """A time a second after the last one, so that sorting by it is never a tie."""
        self._clock += timedelta(seconds=1)
        return self._clock.strftime("%Y-%m-%dT%H:%M:%SZ")

    def move(self, run_id: str, state: str) -> None:
        """Bring a run into a state, which its history keeps."""
        self.runs[run_id]["state"] = state
        self.runs[run_id]["state_history"].append({"update_time": self.now(), "state": state})

    def step(self, run_id: str, name: str, state: str, *, error: str = "", children: tuple[str, ...] = ()) -> None:
        """Add a task to a run, or move it on: the node of its retries and, as Argo makes of each, its first attempt.

        Args:
            run_id: the run.
            name: the task's name in the workflow: ``train``, ``train-driver``, ``executor`` ...; with a number, as
                ``train(1)``, the attempt alone.
            state: its new state.
            error: kept in the state's history, where the server puts it (kubeflow/pipelines#14007).
            children: the names of tasks that hang under it.
        """
        if self.runs[run_id]["state"] == "PENDING":
            self.move(run_id, "RUNNING")
        now = self.now()
        entry: Item = {"update_time": now, "state": state}
        if error:
            entry["error"] = {"code": 13, "message": error}
        for each in (name,) if "(" in name else (name, f"{name}(0)"):
            task = self._task(run_id, each, now)
            task["state"] = state
            task["state_history"].append(entry)
            task["child_tasks"] = [{"pod_name": f"pod-{child}"} for child in children] or task.get("child_tasks", [])
            if state in FINAL:
                task["end_time"] = now

    def attempt(self, run_id: str, number: int, state: str) -> None:
        """Add or move on a pod of the step that runs. Pods of all steps have the same names."""
        name, now = f"executor({number})", self.now()
        tasks = self.runs[run_id].setdefault("run_details", {}).setdefault("task_details", [])
        running = [item for item in tasks if item["display_name"] == name and item.get("state") not in FINAL]
        task = running[-1] if running else self._new_task(run_id, name, now)
        task["state"] = state
        if state in FINAL:
            task["end_time"] = now

    def omit(self, run_id: str, *names: str) -> None:
        """Add tasks that are not reached any more: Argo writes them down without a state, beginning as they end."""
        now = self.now()
        for name in names:
            self._task(run_id, name, now)["end_time"] = now

    def finish(self, run_id: str, state: str = "SUCCEEDED", error: str = "") -> None:
        """End a run. One that was stopped fails, since its pods do."""
        run = self.runs[run_id]
        if state == "CANCELED" and run["state"] != "CANCELING":
            self.move(run_id, "CANCELING")
        self.move(run_id, "FAILED" if run["state"] == "CANCELING" else state)
        run["finished_at"] = self.now()
        if error:
            run["error"] = {"code": 13, "message": error}

    def _task(self, run_id: str, name: str, now: str) -> Item:
        tasks = self.runs[run_id].get("run_details", {}).get("task_details", [])
        task: Item | None = next((item for item in tasks if item["display_name"] == name), None)
        return task or self._new_task(run_id, name, now)

    def _new_task(self, run_id: str, name: str, now: str) -> Item:
        task = {"run_id": run_id, "task_id": str(uuid.uuid4()), "display_name": name, "create_time": now}
        task |= {"start_time": now, "end_time": "1970-01-01T00:00:00Z", "state_history": []}
        self.runs[run_id].setdefault("run_details", {}).setdefault("task_details", []).append(task)
        return task
