"""What the fake Kubeflow Pipelines server remembers, and what each endpoint does with it."""

import base64
import json
import re
import uuid
from collections.abc import Callable
from typing import Any

import kubeflow_checks as checks
from kubeflow_checks import RefusalError
from kubeflow_controller import FINAL, Controller, Item

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
# The fields of a filter's predicate.
KNOWN = {"operation", "key", "string_value", "stringValue", "timestamp_value", "timestampValue"}
NEVER = "1970-01-01T00:00:00Z"
# What each list can be filtered and sorted by (backend/src/apiserver/model/*.go, the maps of API to model fields).
COMMON = {"display_name", "name", "created_at", "description", "namespace"}
FILTERS = {
    "experiments": COMMON | {"experiment_id", "storage_state"},
    "pipelines": COMMON | {"pipeline_id"},
    "pipeline_versions": COMMON | {"pipeline_version_id", "pipeline_id"},
    "runs": COMMON | {"run_id", "experiment_id", "state", "storage_state", "recurring_run_id", "finished_at"},
    "recurringRuns": COMMON | {"recurring_run_id", "experiment_id"},
}


class State(Controller):
    """A server's memory; each public method is one endpoint and returns its answer.

    Args:
        multi_user: namespaces are then needed, and kept; else they are ignored.
    """

    def __init__(self, multi_user: bool) -> None:
        super().__init__()
        self.multi_user = multi_user
        self.experiments: dict[str, Item] = {}
        self.pipelines: dict[str, Item] = {}
        self.versions: dict[str, Item] = {}
        self.recurring_runs: dict[str, Item] = {}
        # The ScheduledWorkflows in Kubernetes by uid, the id of their schedule, if it has become one.
        self.objects: dict[str, Item] = {}
        # (resource, verb) pairs that this user may not do.
        self.denied: set[tuple[str, str]] = set()

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
        checks.check_column("Name", name, 128)
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
        if len(name) > 127:
            raise RefusalError(400, f"PipelineVersion.Name length cannot exceed 127, got {len(name)}", upload=True)
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
        # The server looks at the version's id alone.
        return self._found(self.versions, "PipelineVersion", version_id)

    def list_versions(self, pipeline_id: str, query: dict[str, str]) -> Item:
        self.get_pipeline(pipeline_id)
        return page("pipeline_versions", [i for i in self.versions.values() if i["pipeline_id"] == pipeline_id], query)

    # Runs

    def create_run(self, body: Item) -> Item:
        checks.check_fields("V2beta1Run", body)
        if not body.get("display_name"):
            raise RefusalError(500, "The run name is empty. Please specify a valid name")
        experiment = self._experiment_of(body)
        self.allow("runs", "create", experiment["namespace"])
        filled = self._check_job(body)
        _check_columns(body)
        now = self.now()
        history = [{"update_time": now, "state": "PENDING"}]
        item = {**body, "run_id": str(uuid.uuid4()), "created_at": now, "scheduled_at": now, "finished_at": NEVER}
        item |= {"experiment_id": experiment["experiment_id"], "state": "PENDING", "storage_state": "AVAILABLE"}
        return self._keep(self.runs, "run_id", {**item, **filled, "state_history": history})

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
        if item["state"] == "CANCELING":
            raise RefusalError(400, f"Failed to terminate a run {run_id}. Row not found")
        self.move(run_id, "CANCELING")
        return {}

    # Recurring runs

    def create_recurring_run(self, body: Item) -> Item:
        checks.check_fields("V2beta1RecurringRun", body)
        if not body.get("display_name"):
            raise RefusalError(500, "Recurring run name is empty. Please specify a valid name")
        experiment = self._experiment_of(body)
        self.allow("jobs", "create", experiment["namespace"])
        filled = self._check_job(body)
        most = int(body.get("max_concurrency") or 0)
        if not 1 <= most <= 10:
            raise RefusalError(
                400, f"Max concurrency of a recurring run must be at least 1 and at most 10. Received {most}"
            )
        self._check_trigger(body.get("trigger") or {})
        mode, now, uid = "ENABLE" if body.get("mode") == "ENABLE" else "DISABLE", self.now(), str(uuid.uuid4())
        name = re.sub("[^a-z0-9-]", "", body["display_name"].lower())[:25] + uid[:5]
        self.objects[uid] = {"metadata": {"name": name, "uid": uid}, "spec": {"enabled": mode == "ENABLE"}}
        # The object is there before the row is written, and stays if it cannot be.
        _check_columns(body)
        item = {**body, "recurring_run_id": uid, "created_at": now, "updated_at": now, "mode": mode, **filled}
        item |= {"max_concurrency": str(most), "status": f"{mode}D", "experiment_id": experiment["experiment_id"]}
        item["namespace"] = experiment["namespace"] or "kubeflow"
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
            self.get_experiment(experiment)
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
        self.objects.pop(recurring_run_id, None)
        return {}

    # What the endpoints share

    def _namespace(self, namespace: str) -> str:
        if not self.multi_user:
            return ""
        if not namespace:
            raise RefusalError(400, "An experiment cannot have an empty namespace in multi-user mode")
        return namespace

    def _experiment_of(self, body: Item) -> Item:
        """A run's or a recurring run's experiment; without one the server's default."""
        if experiment := body.get("experiment_id"):
            return self.get_experiment(experiment)
        default = next((item for item in self.experiments.values() if item["display_name"] == "Default"), None)
        return default or self.create_experiment({"display_name": "Default", "namespace": body.get("namespace", "")})

    def _check_job(self, body: Item) -> Item:
        """Check a run's or a recurring run's pipeline, and its parameters against it; the fields to fill in."""
        reference, spec = dict(body.get("pipeline_version_reference") or {}), body.get("pipeline_spec")
        if bool(reference) == bool(spec):
            raise RefusalError(500, "Please specify a pipeline by its version, or give its spec")
        if reference:
            pipeline = reference.get("pipeline_id", "")
            versions = [item for item in self.versions.values() if item["pipeline_id"] == pipeline]
            reference.setdefault("pipeline_version_id", versions[-1]["pipeline_version_id"] if versions else "")
            if reference["pipeline_version_id"] not in self.versions:
                raise RefusalError(500, f"PipelineVersion {reference['pipeline_version_id']} not found.")
            spec = self.versions[reference["pipeline_version_id"]]["pipeline_spec"]
        checks.check_parameters(spec or {}, (body.get("runtime_config") or {}).get("parameters") or {})
        account = "default-editor" if self.multi_user else "pipeline-runner"
        return {"service_account": body.get("service_account") or account} | (
            {"pipeline_version_reference": reference} if "pipeline_version_reference" in body else {}
        )

    @staticmethod
    def _keep(items: dict[str, Item], key: str, item: Item) -> Item:
        items[item[key]] = item
        return item

    @staticmethod
    def _found(items: dict[str, Item], kind: str, key: str) -> Item:
        if key not in items:
            raise RefusalError(404, f"{kind} {key} not found.")
        return items[key]


def _check_columns(body: Item) -> None:
    checks.check_column("DisplayName", body["display_name"], 255)
    checks.check_column("Description", body.get("description", ""), 255)


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
    predicates = _predicates(name, wanted)
    items = [item for item in items if all(_meets_one(item, predicate) for predicate in predicates)]
    field, _, direction = (sort or "created_at").partition(" ")
    if field not in FILTERS[name] or direction.lower() not in ("", "asc", "desc"):
        raise RefusalError(400, f"Invalid sorting field or order: {sort!r}")
    items.sort(key=lambda item: str(item.get(field, "")), reverse=direction.lower() == "desc")
    answer: Item = {name: items[start : start + size], "total_size": len(items)}
    if start + size < len(items):
        answer["next_page_token"] = base64.b64encode(json.dumps([start + size, sort, wanted]).encode()).decode()
    # protobuf's JSON leaves empty fields out.
    return {key: value for key, value in answer.items() if value}


def _predicates(name: str, wanted: str) -> list[Item]:
    """A filter's parts (backend/api/v2beta1/filter.proto)."""
    if not wanted:
        return []
    try:
        predicates = list(json.loads(wanted)["predicates"])
    except (ValueError, KeyError, TypeError) as error:
        raise RefusalError(400, f"failed to parse valid filter from {wanted!r}: {error}") from error
    for predicate in predicates:
        if unknown := set(predicate) - KNOWN:
            raise RefusalError(400, f"failed to parse valid filter: unknown field {sorted(unknown)}")
        if predicate["key"] not in FILTERS[name]:
            raise RefusalError(400, f"no support for filtering on unrecognized field {predicate['key']!r}")
    return predicates


def _meets_one(item: Item, predicate: Item) -> bool:
    operation = OPERATIONS.get(predicate["operation"], predicate["operation"])
    value = next(predicate[key] for key in KNOWN - {"operation", "key"} if key in predicate)
    return MEETS[operation](item.get(predicate["key"], ""), value)
