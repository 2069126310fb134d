"""The fake server is as strict as the real one: what it lets through, Kubeflow would take."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

import kubeflow_pipeline
import pytest
from kubeflow import FakeKubeflow


def post(
    fake: FakeKubeflow, path: str, body: Any, kind: str = "application/json", timeout: float = 5
) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{fake.host}/apis/v2beta1/{path}", data, {"Content-Type": kind})
    return _open(request, timeout)


def get(fake: FakeKubeflow, path: str) -> tuple[int, dict[str, Any]]:
    return _open(urllib.request.Request(f"{fake.host}/apis/v2beta1/{path}"))


def _open(request: urllib.request.Request, timeout: float = 5) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def upload(
    fake: FakeKubeflow, text: str, path: str = "pipelines/upload?name=small", timeout: float = 5
) -> tuple[int, dict[str, Any]]:
    form = f'--X\r\nContent-Disposition: form-data; name="uploadfile"; filename="p.yaml"\r\n\r\n{text}\r\n--X--\r\n'
    return post(fake, path, form.encode(), "multipart/form-data; boundary=X", timeout)


@pytest.fixture
def job(fake: FakeKubeflow) -> dict[str, Any]:
    """What runs and recurring runs have in common, good as it is."""
    _, experiment = post(fake, "experiments", {"display_name": "digits"})
    upload(fake, kubeflow_pipeline.compiled())
    version = next(iter(fake.versions.values()))
    reference = {key: version[key] for key in ("pipeline_id", "pipeline_version_id")}
    return {
        "display_name": "first",
        "experiment_id": experiment["experiment_id"],
        "pipeline_version_reference": reference,
        "runtime_config": {"parameters": dict(kubeflow_pipeline.PARAMETERS)},
    }


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        pytest.param({"name": "x"}, 'unknown field "name" in V2beta1Run', id="unknown-field"),
        pytest.param({"runtime_config": {"root": "gs://b"}}, 'unknown field "root" in V2beta1RuntimeConfig', id="deep"),
        pytest.param({"display_name": 3}, "invalid value for display_name: expected str, got 3", id="type"),
        pytest.param({"display_name": ""}, "The run name is empty", id="no-name"),
        pytest.param({"display_name": "x" * 256}, "Data too long for column 'DisplayName'", id="long-name"),
        pytest.param({"description": "ü" * 256}, "Data too long for column 'Description'", id="long-description"),
        pytest.param({"pipeline_version_reference": {"pipeline_id": "x"}}, "PipelineVersion  not found.", id="version"),
        pytest.param({"state": "DONE"}, "invalid value for state", id="enum"),
        pytest.param({"created_at": "2026-11-01T00:00:00"}, "a time in RFC 3339 with its zone", id="no-zone"),
        pytest.param({"state_history": [{"at": 1}]}, 'unknown field "at" in V2beta1RuntimeStatus', id="in-a-list"),
        pytest.param({"experiment_id": "gone"}, "Experiment gone not found.", id="experiment"),
        pytest.param({"pipeline_version_reference": None}, "Please specify a pipeline", id="no-pipeline"),
        pytest.param({"runtime_config": {"parameters": {}}}, "is not optional, yet has neither", id="missing"),
    ],
)
def test_a_run_that_kubeflow_would_refuse_is_refused(
    fake: FakeKubeflow, job: dict[str, Any], change: dict[str, Any], complaint: str
) -> None:
    status, answer = post(fake, "runs", {**job, **change})
    assert status in (400, 404, 500) and complaint in answer["message"], answer
    assert answer["code"] in (3, 5, 13) and answer["error"] == answer["message"]
    assert fake.runs == {}


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("epochs", "3", "epochs requires type double or integer"),
        ("epochs", True, "epochs requires type double or integer"),
        ("accelerator_type", 1, "accelerator_type requires type string"),
        ("tolerations", {}, "tolerations requires type list"),
        ("data", [], "data requires type struct"),
        ("epoch", 3, "not required by pipeline: epoch"),
    ],
)
def test_a_parameter_of_another_type_is_refused(
    fake: FakeKubeflow, job: dict[str, Any], name: str, value: Any, complaint: str
) -> None:
    job["runtime_config"]["parameters"][name] = value
    status, answer = post(fake, "runs", job)
    assert status == 400 and complaint in answer["message"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({}, ""),
        ({"trigger": {"cron_schedule": {"cron": "0 3 * * *"}}}, ""),
        ({"trigger": {"cron_schedule": {"cron": "0 0 3 ? JAN-mar sun"}}}, ""),
        ({"trigger": {"cron_schedule": {"cron": "@daily"}}}, ""),
        ({"mode": None}, ""),
        ({"experiment_id": None}, ""),
        ({"description": "x" * 255}, ""),
        ({"display_name": ""}, "name is empty"),
        *(
            ({"trigger": {"cron_schedule": {"cron": cron}}}, "not a supported format")
            for cron in ("1 * *", "0 99 3 * * *", "0 0 3 * * 7", "0 0 22-2 * * *", "0 0 3 L * *", "@nonsense")
        ),
        ({"trigger": {"periodic_schedule": {"interval_second": 0}}}, "at interval to least 1 second"),
        ({"max_concurrency": 11}, "at least 1 and at most 10"),
        ({"max_concurrency": "0"}, "at least 1 and at most 10"),
        ({"mode": "ON"}, "invalid value for mode"),
    ],
)
def test_a_recurring_run_is_checked(
    fake: FakeKubeflow, job: dict[str, Any], change: dict[str, Any], complaint: str
) -> None:
    good = {"mode": "ENABLE", "max_concurrency": "1", "trigger": {"periodic_schedule": {"interval_second": "60"}}}
    status, answer = post(fake, "recurringruns", {**job, **good, **change})
    assert (status == 200) == (complaint == ""), answer
    assert complaint in answer.get("message", "")
    assert len(fake.recurring_runs) == len(fake.objects) == (complaint == "")


def test_a_schedule_whose_row_cannot_be_written_stays_in_kubernetes(fake: FakeKubeflow, job: dict[str, Any]) -> None:
    good = {"mode": "ENABLE", "max_concurrency": "1", "trigger": {"periodic_schedule": {"interval_second": "60"}}}
    for change in ({"description": "x" * 256}, {"display_name": "x" * 256}):
        status, answer = post(fake, "recurringruns", {**job, **good, **change})
        assert status == 500 and "Data too long for column" in answer["message"]
    assert fake.recurring_runs == {} and len(fake.objects) == 2


def test_what_is_not_given_is_filled_in(fake: FakeKubeflow, job: dict[str, Any]) -> None:
    reference = {"pipeline_id": job["pipeline_version_reference"]["pipeline_id"]}
    body = {**job, "experiment_id": None, "pipeline_version_reference": reference}
    _, run = post(fake, "runs", body)
    assert (run["service_account"], run["finished_at"]) == ("pipeline-runner", "1970-01-01T00:00:00Z")
    assert run["pipeline_version_reference"] == job["pipeline_version_reference"]
    assert fake.experiments[run["experiment_id"]]["display_name"] == "Default"
    every = {**body, "max_concurrency": "1", "trigger": {"periodic_schedule": {"interval_second": "60"}}}
    _, schedule = post(fake, "recurringruns", every)
    assert (schedule["service_account"], schedule["namespace"]) == ("pipeline-runner", "kubeflow")


def test_a_run_that_is_stopped_fails_and_cannot_be_stopped_twice(fake: FakeKubeflow, job: dict[str, Any]) -> None:
    _, run = post(fake, "runs", job)
    assert post(fake, f"runs/{run['run_id']}:terminate", {})[0] == 200
    status, answer = post(fake, f"runs/{run['run_id']}:terminate", {})
    assert status == 400 and "Row not found" in answer["message"]
    fake.finish(run["run_id"], "CANCELED")
    _, ended = get(fake, f"runs/{run['run_id']}")
    assert [entry["state"] for entry in ended["state_history"]] == ["PENDING", "CANCELING", "FAILED"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("just a line", "unknown template format"),
        ("pipelineInfo: {name: x}\nroots: {}", "unknown template format"),
        ("platforms: {}", "no pipeline spec is provided"),
        ("pipelineInfo: {name: x}", "root component is empty"),
        ("root: {dag: {}}", "name should consist of"),
        ("pipelineInfo: {name: Small_One}\nroot: {dag: {}}", "name should consist of"),
        ("pipelineInfo: {name: x}\nroot: {dag: {}}\nschemaVersion: 2.0.0", "schema version is not 2.1.0"),
        ("", "the file is empty"),
    ],
)
def test_an_upload_that_is_no_compiled_pipeline_is_refused(fake: FakeKubeflow, text: str, complaint: str) -> None:
    status, answer = upload(fake, text)
    assert status == (400 if text else 500) and complaint in answer["error_message"]
    assert fake.pipelines == {} and fake.versions == {}


def test_an_upload_that_is_not_yaml_is_never_answered(fake: FakeKubeflow) -> None:
    with pytest.raises(TimeoutError):
        upload(fake, "a: [", timeout=0.3)


def test_names_have_their_lengths(fake: FakeKubeflow, job: dict[str, Any]) -> None:
    assert post(fake, "experiments", {"display_name": "x" * 129})[0] == 500
    pipeline = job["pipeline_version_reference"]["pipeline_id"]
    for length, status in ((127, 200), (128, 400)):
        path = f"pipelines/upload_version?pipelineid={pipeline}&name={'x' * length}"
        assert upload(fake, kubeflow_pipeline.compiled(), path)[0] == status


def test_an_upload_keeps_both_documents_and_its_name_only_once(fake: FakeKubeflow) -> None:
    assert upload(fake, kubeflow_pipeline.compiled())[0] == 200
    (version,) = fake.versions.values()
    assert set(version["pipeline_spec"]) == {"pipeline_spec", "platform_spec"}
    assert upload(fake, kubeflow_pipeline.compiled())[0] == 409


def test_lists_have_pages_filters_and_an_order(fake: FakeKubeflow) -> None:
    for number in range(45):
        post(fake, "experiments", {"display_name": f"e{number:02}"})
    seen, token = [], ""
    while True:
        _, answer = get(fake, f"experiments?page_size=20&sort_by=display_name%20desc&page_token={token}")
        seen.append([item["display_name"] for item in answer["experiments"]])
        if not (token := answer.get("next_page_token", "")):
            break
    assert [len(page) for page in seen] == [20, 20, 5]
    assert [name for page in seen for name in page] == [f"e{number:02}" for number in reversed(range(45))]


def test_kfps_own_client_works_with_it(fake: FakeKubeflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import kfp

    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    path = tmp_path / "small.yaml"
    path.write_text(kubeflow_pipeline.compiled())
    with pytest.warns(FutureWarning):
        client = kfp.Client(host=fake.host)
    pipeline = client.upload_pipeline(str(path), pipeline_name="small")
    assert client.get_pipeline_id("small") == pipeline.pipeline_id
    (version,) = client.list_pipeline_versions(pipeline.pipeline_id).pipeline_versions
    experiment = client.create_experiment("digits")
    assert client.get_experiment(experiment_name="digits").experiment_id == experiment.experiment_id
    parameters = dict(kubeflow_pipeline.PARAMETERS)
    started = client.create_run_from_pipeline_package(str(path), parameters, experiment_id=experiment.experiment_id)
    fake.finish(started.run_id)
    assert client.wait_for_run_completion(started.run_id, timeout=5).state == "SUCCEEDED"
    every = client.create_recurring_run(
        experiment.experiment_id,
        "nightly",
        cron_expression="0 0 3 * * *",
        params=parameters,
        pipeline_id=pipeline.pipeline_id,
        version_id=version.pipeline_version_id,
    )
    client.disable_recurring_run(every.recurring_run_id)
    assert client.get_recurring_run(every.recurring_run_id).status == "DISABLED"


# On a list that is empty, too.
FILTER = quote('{"predicates": [{"operation": "EQUALS", "key": "colour", "string_value": "red"}]}')


@pytest.mark.parametrize(
    ("path", "status", "complaint"),
    [
        ("experiments?sort_by=colour", 400, "Invalid sorting field"),
        ("experiments?sort_by=created_at%20upwards", 400, "Invalid sorting field or order"),
        (f"experiments?filter={FILTER}", 400, "unrecognized field 'colour'"),
        (f"recurringruns?filter={FILTER.replace('colour', 'status')}", 400, "unrecognized field 'status'"),
        ("recurringruns?experiment_id=nothing", 404, "Experiment nothing not found."),
        ("experiments?filter=x", 400, "failed to parse valid filter"),
        ("experiments?page_token=x", 400, "Invalid package token"),
        ("experiments?page_size=-1", 400, "page size should be greater than 0"),
        ("runs/nothing", 404, "Run nothing not found."),
        ("nowhere", 404, "Not Found"),
    ],
)
def test_a_bad_question_is_refused(fake: FakeKubeflow, path: str, status: int, complaint: str) -> None:
    got, answer = get(fake, path)
    assert got == status and complaint in answer["message"]


def test_a_name_in_a_query_that_is_unknown_is_ignored(fake: FakeKubeflow) -> None:
    assert get(fake, "experiments?size=3") == (200, {})


def test_health_tells_the_version(fake: FakeKubeflow) -> None:
    assert set(get(fake, "healthz")[1]) == {"multi_user", "tag_name", "commit_sha", "pipeline_store"}
