"""Secrets are refused as settings, and masked wherever a text from outside is kept or shown."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.core import secrets
from components.core.errors import StepError
from pipelines import experiment
from pipelines.compile import targets
from pipelines.runs.folder import Run

SECRETS = {
    "a Google access token": "ya29.a0AfH6SMBq9xkw3lTr0bZ5yExample",
    "a Google refresh token": "1//0gExampleExampleExampleExample-Lx",
    "a Google API key": "AIzaSyD-ExampleExampleExampleExample012",
    "a Google client secret": "GOCSPX-ExampleExampleExampleExample",
    "a JSON Web Token": "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJydW5uZXIifQ.c2lnbmF0dXJlLW9mLW5vYm9keQ",
    "an AWS access key": "AKIAIOSFODNN7EXAMPLE",
    "a GitHub token": "ghp_ExampleExampleExampleExampleExample1",
    "a GitLab token": "glpat-ExampleExample12345",
    "a Hugging Face token": "hf_ExampleExampleExampleExampleExample",
    "a Weights & Biases key": "wandb_v1_ExampleExampleExampleExample",
    "a Slack token": "xoxb-123456789012-Example",
    "a PyPI token": "pypi-AgEIcHlwaS5vcmcExampleExampleExample",
    "an API key": "sk-proj-ExampleExampleExampleExampleExample",
    "a private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAexample\n-----END RSA PRIVATE KEY-----",
    "a password in an address": "https://someone:correct-horse@example.org/data",
    "a signature or token in an address": "https://example.org/o?X-Goog-Algorithm=GOOG4&X-Goog-Signature=0a1b2c3d4e5f",
    "a bearer token": "authentication is Bearer c2lnbmF0dXJlLW9m",
    "a secret by its name": "WANDB_API_KEY=0123456789abcdef0123456789abcdef01234567",
}
# What must not be shown of each.
CORES = {
    kind: text.rpartition("=")[2].rpartition("Bearer ")[2].rpartition("//someone:")[2].partition("@")[0]
    for kind, text in SECRETS.items()
}
HARMLESS = [
    "gs://bucket/folder/key/token",
    "europe-west4-docker.pkg.dev/project/suanli@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "git@github.com:team/repository.git",
    "https://host:8080/pipeline?namespace=kubeflow&run=1",
    "0123456789abcdef0123456789abcdef01234567",
    "suanli-runner@my-project.iam.gserviceaccount.com",
    "cloud.google.com/gke-tpu-accelerator=tpu-v5-lite-podslice",
    "tokenizer=wordpiece",
    "the key 'version' is missing",
    "eyJ is how they begin",
    "unexpected token: x",
]


def test_every_form_has_an_example() -> None:
    assert list(SECRETS) != [] and set(SECRETS) == set(secrets.FORMS)


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_known_by_its_form_and_masked(kind: str) -> None:
    assert secrets.kind_of(SECRETS[kind]) == kind
    for text in (SECRETS[kind], f"before {SECRETS[kind]}", f'{{"a": "{SECRETS[kind]}"}}'):
        masked = secrets.mask(text)
        assert CORES[kind] not in masked and f"[removed: {kind}]" in masked
        assert secrets.mask(masked) == masked


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_a_little_like_one_is_left_alone(text: str) -> None:
    assert secrets.mask(text) == text and secrets.kind_of(text) == ""


@pytest.mark.parametrize(
    "part", ["eyJ-", "a.b-", "://a:", "token=", "?", "&key=", "bearer ", "-----BEGIN ", "password"]
)
def test_a_long_text_is_searched_in_time_that_grows_with_its_length_only(part: str) -> None:
    began = time.process_time()
    secrets.mask(part * (400_000 // len(part)))
    assert time.process_time() - began < 3


def test_masking_a_record_keeps_it_a_record() -> None:
    record = {"a": [1, None, {"b": SECRETS["a private key"]}], "password": "correct-horse", "n": 1.5}
    assert json.loads(json.dumps(secrets.redact(record))) == {
        "a": [1, None, {"b": "[removed: a private key]"}],
        "password": "[removed: a secret by its name]",
        "n": 1.5,
    }


# --- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SECRETS)
def test_a_setting_that_looks_like_a_secret_is_refused_and_not_repeated(kind: str) -> None:
    with pytest.raises(StepError) as caught:
        experiment.load("digits").with_settings([f"data.version={SECRETS[kind]}"])
    line = str(caught.value)
    assert caught.value.kind == "settings" and f"version looks like {kind}" in line
    assert CORES[kind] not in line and "\n" not in line


@pytest.mark.parametrize(
    "change", ["trainin.epochs={}", "training.{}=1", "training.epochs={}", "data.split=[{}]", "{}"]
)
def test_nor_is_it_repeated_where_something_else_is_wrong(change: str) -> None:
    secret = SECRETS["a GitHub token"]
    with pytest.raises(StepError) as caught:
        experiment.load("digits").with_settings([change.format(secret)])
    assert secret not in str(caught.value)


def test_an_experiment_file_with_a_secret_does_not_load_and_does_not_show_it(tmp_path: Path) -> None:
    secret = SECRETS["a Hugging Face token"]
    path = tmp_path / "leaky.py"
    path.write_text(
        "from components.data import digits\nfrom components.models import cnn\n"
        "from components.tasks import image_classification\nfrom pipelines.experiment import Experiment\n"
        f"EXPERIMENT = Experiment(data=digits.Settings(version={secret!r}), model=cnn.Settings(), "
        "evaluation=image_classification.Settings())\n"
    )
    with pytest.raises(StepError, match="looks like a Hugging Face token") as caught:
        experiment.load(str(path))
    assert secret not in str(caught.value)


def test_pydantic_itself_does_not_repeat_a_refused_value() -> None:
    from components.data import digits

    with pytest.raises(ValidationError) as caught:
        digits.Settings(version=SECRETS["a GitHub token"], split="no split at all")
    assert SECRETS["a GitHub token"] not in str(caught.value) and "no split at all" not in str(caught.value)


@pytest.mark.parametrize("key", ["host", "registry", "step_node_selector"])
def test_a_target_that_holds_one_is_refused_and_not_repeated(tmp_path: Path, key: str) -> None:
    secret = SECRETS["a password in an address"]
    value = f'{{ a = "{secret}" }}' if key == "step_node_selector" else f'"{secret}"'
    lines = {
        "image_prefix": '"x/suanli"',
        "data_root": '"gs://b/d"',
        "checkpoint_root": '"gs://b/c"',
        "registry": '"gs://b/r"',
    }
    lines[key] = value
    text = "\n".join(f"{name} = {value}" for name, value in lines.items())
    (tmp_path / "targets.toml").write_text(f"[prod]\n{text}\n")
    with pytest.raises(StepError, match=f"{key}[.a]* looks like a password in an address") as caught:
        targets.load("prod", tmp_path)
    assert "correct-horse" not in str(caught.value)


# --- masked ----------------------------------------------------------------------------------------------------------


def test_an_error_that_repeats_a_servers_answer_is_masked() -> None:
    address = SECRETS["a signature or token in an address"]
    error = StepError(f"Cloud Storage: Forbidden: GET {address}: no", advice=f"see {address}")
    for text in (str(error), error.message, error.advice, repr(error)):
        assert "0a1b2c3d4e5f" not in text and "X-Goog-Algorithm=GOOG4" in repr(error)


def test_a_runs_record_is_masked_when_it_is_written(tmp_path: Path) -> None:
    run = Run(tmp_path)
    values: dict[str, Any] = {
        "description": SECRETS["a Google API key"],
        "cluster": {"host": SECRETS["a password in an address"]},
    }
    run.write(values)
    text = (tmp_path / "run.json").read_text()
    assert SECRETS["a Google API key"] not in text and "correct-horse" not in text and "example.org/data" in text


def test_a_steps_record_and_progress_are_masked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.core import failure, progress
    from components.core.step import Record

    secret = SECRETS["a GitHub token"]
    monkeypatch.setenv("SUANLI_RUN", str(tmp_path))
    try:
        raise RuntimeError(f"the server said {secret}")
    except RuntimeError as error:
        Record(tmp_path, "train").fail(failure.from_exception("train", error))
    progress.report("train", note=f"using {secret}")
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or (secret not in path.read_text() and path.stat().st_size)


def test_the_environment_is_not_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from pipelines.runs import record

    monkeypatch.setenv("SOME_SETTING", "correct-horse-battery")
    named = experiment.load("digits")
    found = record.initial(named, targets.local(tmp_path), "digits", cache=True)
    assert "correct-horse-battery" not in json.dumps(found)
