"""Secrets are refused as settings, and masked wherever a text from outside is kept or shown."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from secret_forms import EXAMPLES, HARMLESS

from components.core import secrets, sources
from components.core.errors import StepError
from pipelines import experiment
from pipelines.compile import targets
from pipelines.runs.folder import Run

PLAIN = str.maketrans("", "", "«»")
SECRETS = {kind: texts[0].translate(PLAIN) for kind, texts in EXAMPLES.items()}
# What must not be shown of each.
CORES = {kind: re.findall("«(.*?)»", texts[0], re.DOTALL)[0] for kind, texts in EXAMPLES.items()}
EACH = [pytest.param(kind, text, id=f"{kind}: {text[:60]!r}") for kind, texts in EXAMPLES.items() for text in texts]


def test_every_form_has_an_example() -> None:
    assert EXAMPLES and set(EXAMPLES) == {form.kind for form in secrets.FORMS}
    for form in secrets.FORMS:
        texts = [text.translate(PLAIN) for text in EXAMPLES[form.kind]]
        assert any(re.search(form.pattern, text, form.flags) for text in texts), form.pattern


@pytest.mark.parametrize(("kind", "marked"), EACH)
def test_a_secret_is_known_by_its_form_and_masked(kind: str, marked: str) -> None:
    text = marked.translate(PLAIN)
    masked = re.sub("«.*?»", f"[removed: {kind}]", marked, flags=re.DOTALL)
    assert secrets.kind_of(text) and secrets.mask(text) == masked == secrets.mask(masked)
    assert secrets.mask(f"before {text}") == f"before {masked}"


@pytest.mark.parametrize(("kind", "marked"), [each for each in EACH if "\n" not in each.values[1]])
def test_a_secret_inside_of_json_is_masked(kind: str, marked: str) -> None:
    for core in re.findall("«(.*?)»", marked):
        assert core not in secrets.mask(json.dumps({"a": f"before {marked.translate(PLAIN)}"}))


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_a_little_like_one_is_left_alone(text: str) -> None:
    assert secrets.mask(text) == text and secrets.kind_of(text) == ""


def test_nor_is_anything_removed_from_the_pages_and_the_compiled_pipelines() -> None:
    files = [
        path for folder in ("docs", "tests/golden") for path in (sources.ROOT / folder).rglob("*") if path.is_file()
    ]
    changed = [
        line
        for path in files
        if path.suffix in {".md", ".yaml", ".json", ".html", ".tf", ".txt"}
        for line in path.read_text().splitlines()
        if secrets.mask(line) != line
    ]
    assert len(files) > 20 and changed == []


@pytest.mark.parametrize(
    "part",
    (
        *(
            "eyJ-",
            "a.b-",
            "://a:",
            "://",
            "token=",
            "?",
            "&key=",
            "bearer ",
            "-----BEGIN ",
            "password",
            "--",
            "curl -u ",
        ),
        *("cookie ", "mysql -p", "authorization: ", "authorization: digest ", "password value", "0123456789abcdef-us"),
        'password="\\',
    ),
)
def test_a_long_text_is_searched_in_time_that_grows_with_its_length_only(part: str) -> None:
    began = time.process_time()
    secrets.mask(part * (200_000 // len(part)))
    assert time.process_time() - began < 3


def test_a_private_key_that_comes_line_by_line_is_masked_and_what_follows_is_not() -> None:
    mask = secrets.LineMasker().mask
    key = [
        "-----BEGIN EC PRIVATE KEY-----",
        "Proc-Type: 4,ENCRYPTED",
        "",
        "MHcCAQEEIExample+/=",
        "-----END EC PRIVATE KEY----- ok",
    ]
    gone = "[removed: a private key]"
    assert [mask(line) for line in ["epoch 1", *key, "epoch 2"]] == ["epoch 1", *[gone] * 4, f"{gone} ok", "epoch 2"]
    # A pattern in a message begins nothing.
    assert [mask(line) for line in ("-----BEGIN PRIVATE KEY----- expected", "step 3: loss 0.1", "abc")][1:] == [
        "step 3: loss 0.1",
        "abc",
    ]


def test_masking_a_record_keeps_it_a_record() -> None:
    record = {
        "a": [1, None, {"b": SECRETS["a private key"]}],
        "password": "correct horse",
        "n": 1.5,
        "pins": {"passcode": 1234, "api-key": ["abcdef12", True], "token": 5, "seconds_per_token": 1.5e-05},
        "env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "EPOCHS", "value": "5"}],
    }
    gone = "[removed: a secret by its name]"
    assert json.loads(json.dumps(secrets.redact(record))) == {
        "a": [1, None, {"b": "[removed: a private key]"}],
        "password": gone,
        "n": 1.5,
        "pins": {"passcode": gone, "api-key": [gone, True], "token": 5, "seconds_per_token": 1.5e-05},
        "env": [{"name": "DB_PASSWORD", "value": gone}, {"name": "EPOCHS", "value": "5"}],
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


def test_a_private_key_that_a_step_prints_is_not_in_its_log(tmp_path: Path) -> None:
    from pipelines.local.__main__ import Logs

    logs = Logs(tmp_path)
    logs.write(f"    epoch 1\n    {SECRETS['a private key'].replace(chr(10), chr(10) + '    ')}\n    epoch 2\n")
    logs.stream.close()
    text = (tmp_path / "runner.log").read_text()
    assert text.splitlines() == ["epoch 1", *["[removed: a private key]"] * 3, "epoch 2"]


def test_the_environment_is_not_recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from pipelines.runs import record

    monkeypatch.setenv("SOME_SETTING", "correct-horse-battery")
    named = experiment.load("digits")
    found = record.initial(named, targets.local(tmp_path), "digits", cache=True)
    assert "correct-horse-battery" not in json.dumps(found)
