"""The fake server is as strict as the real one: what it lets through, Kubeflow would take."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import kubeflow_pipeline
import pytest
from kubeflow import FakeKubeflow


def post(fake: FakeKubeflow, path: str, body: Any, kind: str = "application/json") -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{fake.host}/apis/v2beta1/{path}", data, {"Content-Type": kind})
    return _open(request)


def get(fake: FakeKubeflow, path: str) -> tuple[int, dict[str, Any]]:
    return _open(urllib.request.Request(f"{fake.host}/apis/v2beta1/{path}"))


def _open(request: urllib.request.Request) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def upload(fake: FakeKubeflow, text: str, path: str = "pipelines/upload?name=small") -> tuple[int, dict[str, Any]]:
    form = f'--X\r\nContent-Disposition: form-data; name="uploadfile"; filename="p.yaml"\r\n\r\n{text}\r\n--X--\r\n'
    return post(fake, path, form.encode(), "multipart/form-data; boundary=X")


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
    assert status in (400, 404) and complaint in answer["message"], answer
    assert answer["code"] in (3, 5) and answer["error"] == answer["message"]
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
        ({"trigger": {"cron_schedule": {"cron": "1 * *"}}}, "not a supported format"),
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
    assert len(fake.recurring_runs) == (complaint == "")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("just a line", "unknown template format"),
        ("a: [", "unknown template format"),
        ("pipelineInfo: {name: x}\nroots: {}", "unknown template format"),
        ("platforms: {}", "no pipeline spec is provided"),
        ("pipelineInfo: {name: x}", "root component is empty"),
        ("root: {dag: {}}", "name is empty"),
    ],
)
def test_an_upload_that_is_no_compiled_pipeline_is_refused(fake: FakeKubeflow, text: str, complaint: str) -> None:
    status, answer = upload(fake, text)
    assert status == 400 and complaint in answer["error_message"]
    assert fake.pipelines == {} and fake.versions == {}


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


@pytest.mark.parametrize(
    ("path", "status", "complaint"),
    [
        ("experiments?size=3", 400, "unknown query parameter"),
        ("experiments?sort_by=colour", 400, "Invalid sorting field"),
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
