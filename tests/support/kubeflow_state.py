"""What the fake Kubeflow Pipelines server remembers, and what each endpoint does with it."""

import base64
import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import kubeflow_checks as checks
from kubeflow_checks import RefusalError

Item = dict[str, Any]
FINAL = ("SUCCEEDED", "FAILED", "CANCELED", "SKIPPED")
OPERATIONS = {
    1: "EQUALS",
    2: "NOT_EQUALS",
    3: "GREATER_THAN",
    5: "GREATER_THAN_EQUALS",
    6: "LESS_THAN",
    7: "LESS_THAN_EQUALS",
    8: "IN",
    9: "IS_SUBSTRING",
}
MEETS: dict[str, Callable[[Any, Any], bool]] = {
    "EQUALS": lambda have, want: have == want,
    "NOT_EQUALS": lambda have, want: have != want,
    "IS_SUBSTRING": lambda have, want: want in have,
    "GREATER_THAN_EQUALS": lambda have, want: have >= want,
    "LESS_THAN_EQUALS": lambda have, want: have <= want,
}
# What each list can be filtered and sorted by (backend/src/apiserver/model/*.go, the maps of API to model fields).
COMMON = {"display_name", "name", "created_at", "description", "namespace"}
FILTERS = {
    "experiments": COMMON | {"experiment_id", "storage_state"},
    "pipelines": COMMON | {"pipeline_id"},
    "pipeline_versions": COMMON | {"pipeline_version_id", "pipeline_id"},
    "runs": COMMON | {"run_id", "experiment_id", "state", "storage_state", "recurring_run_id", "finished_at"},
    "recurringRuns": COMMON | {"recurring_run_id", "experiment_id", "status"},
}


class State:
    """A server's memory; each public method is one endpoint and returns its answer.

    Args:
        multi_user: namespaces are then needed, and kept; else they are ignored.
    """

    def __init__(self, multi_user: bool) -> None:
        self.multi_user = multi_user
        self.experiments: dict[str, Item] = {}
        self.pipelines: dict[str, Item] = {}
        self.versions: dict[str, Item] = {}
        self.runs: dict[str, Item] = {}
        self.recurring_runs: dict[str, Item] = {}
        # (resource, verb) pairs that this user may not do.
        self.denied: set[tuple[str, str]] = set()
        self._clock = datetime(2026, 11, 1, tzinfo=UTC)

    def now(self) -> str:
        """A time a second after the last one, so that sorting by it is never a tie."""
        self._clock += timedelta(seconds=1)
        return self._clock.strftime("%Y-%m-%dT%H:%M:%SZ")

    def allow(self, resource: str, verb: str, namespace: str = "") -> None:
        """Refuse as ``IsAuthorized`` does (backend/src/apiserver/resource/resource_manager.go)."""
        if (resource, verb) in self.denied:
            raise RefusalError(
                403,
                f"User 'somebody' is not authorized with reason: (request: &ResourceAttributes{{Namespace:{namespace},"
                f"Verb:{verb},Group:pipelines.kubeflow.org,Version:v1beta1,Resource:{resource},Subresource:,Name:,}})",
            )

    # Experiments

    def create_experiment(self, body: Item) -> Item:
        checks.check_fields("V2beta1Experiment", body)
        name, namespace = body.get("display_name", ""), self._namespace(body.get("namespace", ""))
        self.allow("experiments", "create", namespace)
        if not name:
            raise RefusalError(400, "Experiment name is empty. Please specify a valid experiment name")
        if any((item["display_name"], item["namespace"]) == (name, namespace) for item in self.experiments.values()):
            raise RefusalError(
                409, f"Failed to create a new experiment. The name {name} already exists. Please specify a new name"
            )
        item = {**body, "experiment_id": str(uuid.uuid4()), "created_at": self.now(), "namespace": namespace}
        return self._keep(self.experiments, "experiment_id", {**item, "storage_state": "AVAILABLE"})

    def get_experiment(self, experiment_id: str) -> Item:
        return self._found(self.experiments, "Experiment", experiment_id)

    def list_experiments(self, query: dict[str, str]) -> Item:
        namespace = self._namespace(query.get("namespace", ""))
        self.allow("experiments", "list", namespace)
        return page("experiments", [i for i in self.experiments.values() if i["namespace"] == namespace], query)

    # Pipelines and their versions

    def create_pipeline(self, body: Item) -> Item:
        checks.check_fields("V2beta1Pipeline", body)
        self.allow("pipelines", "create", body.get("namespace", ""))
        name, namespace = body.get("display_name") or body.get("name", ""), body.get("namespace", "")
        if not name:
            raise RefusalError(400, "Failed create to a pipeline due to empty name. Please specify a valid name")
        return self._add_pipeline(name, namespace if self.multi_user else "", body, upload=False)

    def _add_pipeline(self, name: str, namespace: str, described: Item, upload: bool) -> Item:
        if any((item["display_name"], item["namespace"]) == (name, namespace) for item in self.pipelines.values()):
            said = f"Failed to create a new pipeline. The name {name} already exist. Please specify a new name"
            raise RefusalError(
                409, "Failed to create a pipeline and a pipeline version" if upload else said, upload=upload
            )
        item = {"pipeline_id": str(uuid.uuid4()), "display_name": name, "name": name, "namespace": namespace}
        item |= {"created_at": self.now(), **_described(described)}
        return self._keep(self.pipelines, "pipeline_id", item)

    def upload(self, query: dict[str, str], text: str) -> Item:
        spec, name = checks.parse_pipeline(text), query.get("name", "") or query.get("display_name", "")
        item = self._add_pipeline(name, query.get("namespace", "") if self.multi_user else "", query, upload=True)
        self._add_version(item["pipeline_id"], name, spec, query)
        return item

    def upload_version(self, query: dict[str, str], text: str) -> Item:
        spec, pipeline, name = checks.parse_pipeline(text), query.get("pipelineid", ""), query.get("name", "")
        if pipeline not in self.pipelines:
            raise RefusalError(400, "Failed to create a pipeline version", upload=True)
        if any((item["pipeline_id"], item["display_name"]) == (pipeline, name) for item in self.versions.values()):
            raise RefusalError(409, "Failed to create a pipeline version", upload=True)
        return self._add_version(pipeline, name, spec, query)

    def _add_version(self, pipeline: str, name: str, spec: Item, query: dict[str, str]) -> Item:
        item = {"pipeline_id": pipeline, "pipeline_version_id": str(uuid.uuid4()), "display_name": name, "name": name}
        item = {**item, "created_at": self.now(), "pipeline_spec": spec, **_described(query)}
        return self._keep(self.versions, "pipeline_version_id", item)

    def get_pipeline(self, pipeline_id: str) -> Item:
        return self._found(self.pipelines, "Pipeline", pipeline_id)

    def list_pipelines(self, query: dict[str, str]) -> Item:
        self.allow("pipelines", "list", query.get("namespace", ""))
        namespace = query.get("namespace", "") if self.multi_user else ""
        return page("pipelines", [i for i in self.pipelines.values() if i["namespace"] == namespace], query)

    def get_version(self, pipeline_id: str, version_id: str) -> Item:
        item = self._found(self.versions, "PipelineVersion", version_id)
        if item["pipeline_id"] != pipeline_id:
            raise RefusalError(404, f"PipelineVersion {version_id} not found.")
        return item

    def list_versions(self, pipeline_id: str, query: dict[str, str]) -> Item:
        self.get_pipeline(pipeline_id)
        return page("pipeline_versions", [i for i in self.versions.values() if i["pipeline_id"] == pipeline_id], query)

    # Runs

    def create_run(self, body: Item) -> Item:
        checks.check_fields("V2beta1Run", body)
        if not body.get("display_name"):
            raise RefusalError(400, "The run name is empty. Please specify a valid name")
        experiment = self.get_experiment(body.get("experiment_id", ""))
        self.allow("runs", "create", experiment["namespace"])
        self._check_job(body)
        now = self.now()
        history = [{"update_time": now, "state": "PENDING"}]
        item = {**body, "run_id": str(uuid.uuid4()), "created_at": now, "scheduled_at": now, "state": "PENDING"}
        return self._keep(self.runs, "run_id", {**item, "storage_state": "AVAILABLE", "state_history": history})

    def get_run(self, run_id: str) -> Item:
        return self._found(self.runs, "Run", run_id)

    def list_runs(self, query: dict[str, str]) -> Item:
        items = list(self.runs.values())
        if experiment := query.get("experiment_id"):
            self.get_experiment(experiment)
            items = [item for item in items if item["experiment_id"] == experiment]
        elif self.multi_user and not query.get("namespace"):
            raise RefusalError(400, "A run cannot have an empty namespace in multi-user mode")
        self.allow("runs", "list", query.get("namespace", ""))
        return page("runs", items, query)

    def terminate_run(self, run_id: str) -> Item:
        item = self.get_run(run_id)
        self.allow("runs", "terminate")
        if item["state"] in FINAL:
            raise RefusalError(400, f"Failed to terminate a run {run_id}. It has already been completed")
        item["state"] = "CANCELING"
        return {}

    # Recurring runs

    def create_recurring_run(self, body: Item) -> Item:
        checks.check_fields("V2beta1RecurringRun", body)
        experiment = self.get_experiment(body.get("experiment_id", ""))
        self.allow("jobs", "create", experiment["namespace"])
        self._check_job(body)
        most = int(body.get("max_concurrency") or 0)
        if not 1 <= most <= 10:
            raise RefusalError(
                400, f"Max concurrency of a recurring run must be at least 1 and at most 10. Received {most}"
            )
        self._check_trigger(body.get("trigger") or {})
        mode = body.get("mode", "MODE_UNSPECIFIED")
        if mode == "MODE_UNSPECIFIED":
            raise RefusalError(400, "Recurring run's mode is unspecified")
        now = self.now()
        item = {**body, "recurring_run_id": str(uuid.uuid4()), "created_at": now, "updated_at": now}
        item |= {"max_concurrency": str(most), "status": f"{mode}D", "namespace": experiment["namespace"]}
        return self._keep(self.recurring_runs, "recurring_run_id", item)

    def _check_trigger(self, trigger: Item) -> None:
        if len(trigger) > 1:
            raise RefusalError(400, "oneof kubeflow.pipelines.backend.api.v2beta1.Trigger.trigger is already set")
        if cron := trigger.get("cron_schedule"):
            checks.check_cron(cron.get("cron", ""))
        if every := trigger.get("periodic_schedule"):
            every["interval_second"] = str(every.get("interval_second", 0))
            if int(every["interval_second"]) < 1:
                raise RefusalError(400, "Found invalid period schedule interval. Set at interval to least 1 second")

    def get_recurring_run(self, recurring_run_id: str) -> Item:
        return self._found(self.recurring_runs, "Job", recurring_run_id)

    def list_recurring_runs(self, query: dict[str, str]) -> Item:
        items = list(self.recurring_runs.values())
        if experiment := query.get("experiment_id"):
            items = [item for item in items if item["experiment_id"] == experiment]
        elif self.multi_user:
            items = [item for item in items if item["namespace"] == self._namespace(query.get("namespace", ""))]
        self.allow("jobs", "list", query.get("namespace", ""))
        return page("recurringRuns", items, query)

    def enable_recurring_run(self, recurring_run_id: str) -> Item:
        return self._switch(recurring_run_id, "ENABLE")

    def disable_recurring_run(self, recurring_run_id: str) -> Item:
        return self._switch(recurring_run_id, "DISABLE")

    def _switch(self, recurring_run_id: str, mode: str) -> Item:
        self.allow("jobs", mode.lower())
        self.get_recurring_run(recurring_run_id).update(mode=mode, status=f"{mode}D", updated_at=self.now())
        return {}

    def delete_recurring_run(self, recurring_run_id: str) -> Item:
        self.get_recurring_run(recurring_run_id)
        self.allow("jobs", "delete")
        del self.recurring_runs[recurring_run_id]
        return {}

    # What a test does to a run, in the controller's place

    def step(self, run_id: str, name: str, state: str, *, error: str = "", children: tuple[str, ...] = ()) -> None:
        """Add a task to a run, or move it on.

        Args:
            run_id: the run.
            name: the task's name in the workflow: ``train``, ``train-driver``, ``executor`` ...
            state: its new state.
            error: kept in the state's history, where the server puts it (kubeflow/pipelines#14007).
            children: the names of tasks that hang under it.
        """
        run, now = self.runs[run_id], self.now()
        if run["state"] == "PENDING":
            run["state"] = "RUNNING"
        tasks = run.setdefault("run_details", {}).setdefault("task_details", [])
        task = next((item for item in tasks if item["display_name"] == name), None)
        if task is None:
            task = {"run_id": run_id, "task_id": str(uuid.uuid4()), "display_name": name, "create_time": now}
            task |= {"start_time": now, "state_history": []}
            tasks.append(task)
        entry: Item = {"update_time": now, "state": state}
        if error:
            entry["error"] = {"code": 13, "message": error}
        task["state"] = state
        task["state_history"].append(entry)
        task["child_tasks"] = [{"pod_name": f"pod-{child}"} for child in children] or task.get("child_tasks", [])
        if state in FINAL:
            task["end_time"] = now

    def finish(self, run_id: str, state: str = "SUCCEEDED", error: str = "") -> None:
        """End a run."""
        run = self.runs[run_id]
        run.update(state=state, finished_at=self.now())
        if error:
            run["error"] = {"code": 13, "message": error}

    # What the endpoints share

    def _namespace(self, namespace: str) -> str:
        if not self.multi_user:
            return ""
        if not namespace:
            raise RefusalError(400, "An experiment cannot have an empty namespace in multi-user mode")
        return namespace

    def _check_job(self, body: Item) -> None:
        """A run's or a recurring run's pipeline, and its parameters against it."""
        reference = body.get("pipeline_version_reference") or {}
        if bool(reference) == bool(body.get("pipeline_spec")):
            raise RefusalError(400, "Please specify a pipeline by its version, or give its spec")
        spec = body.get("pipeline_spec")
        if reference:
            spec = self.get_version(reference.get("pipeline_id", ""), reference.get("pipeline_version_id", ""))[
                "pipeline_spec"
            ]
        checks.check_parameters(spec or {}, (body.get("runtime_config") or {}).get("parameters") or {})

    @staticmethod
    def _keep(items: dict[str, Item], key: str, item: Item) -> Item:
        items[item[key]] = item
        return item

    @staticmethod
    def _found(items: dict[str, Item], kind: str, key: str) -> Item:
        if key not in items:
            raise RefusalError(404, f"{kind} {key} not found.")
        return items[key]


def _described(query: dict[str, str]) -> Item:
    return {"description": query["description"]} if "description" in query else {}


def page(name: str, items: list[Item], query: dict[str, str]) -> Item:
    """One page of a list: filtered, sorted, cut, with the token of the next one."""
    size = int(query.get("page_size") or 0)
    if size < 0:
        raise RefusalError(400, f"The page size should be greater than 0. Got {size}")
    size = min(size or 20, 200)
    sort, wanted, start = query.get("sort_by", ""), query.get("filter", ""), 0
    if token := query.get("page_token"):
        try:
            start, *rest = json.loads(base64.b64decode(token))
        except ValueError as error:
            raise RefusalError(400, "Invalid package token.") from error
        if (sort or wanted) and [sort, wanted] != rest:
            raise RefusalError(400, "page token does not match the supplied sort by and/or filtering criteria")
        sort, wanted = rest
    predicates = _predicates(wanted)
    items = [item for item in items if all(_meets_one(name, item, predicate) for predicate in predicates)]
    field, _, direction = (sort or "created_at").partition(" ")
    if field not in FILTERS[name]:
        raise RefusalError(400, f"Invalid sorting field: {field!r}")
    items.sort(key=lambda item: str(item.get(field, "")), reverse=direction.lower() == "desc")
    answer: Item = {name: items[start : start + size], "total_size": len(items)}
    if start + size < len(items):
        answer["next_page_token"] = base64.b64encode(json.dumps([start + size, sort, wanted]).encode()).decode()
    # protobuf's JSON leaves empty fields out.
    return {key: value for key, value in answer.items() if value}


def _predicates(wanted: str) -> list[Item]:
    """A filter's parts (backend/api/v2beta1/filter.proto)."""
    if not wanted:
        return []
    try:
        return list(json.loads(wanted)["predicates"])
    except (ValueError, KeyError, TypeError) as error:
        raise RefusalError(400, f"failed to parse valid filter from {wanted!r}: {error}") from error


def _meets_one(name: str, item: Item, predicate: Item) -> bool:
    known = {"operation", "key", "string_value", "stringValue", "timestamp_value", "timestampValue"}
    if unknown := set(predicate) - known:
        raise RefusalError(400, f"failed to parse valid filter: unknown field {sorted(unknown)}")
    operation = OPERATIONS.get(predicate["operation"], predicate["operation"])
    if predicate["key"] not in FILTERS[name]:
        raise RefusalError(400, f"no support for filtering on unrecognized field {predicate['key']!r}")
    value = next(predicate[key] for key in known - {"operation", "key"} if key in predicate)
    return MEETS[operation](item.get(predicate["key"], ""), value)
