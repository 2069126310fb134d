"""The schedule commands, from the command line to a server and back over real HTTP."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import image_registry
import kubeflow
import pytest

from pipelines.cli.main import main

TARGETS = """
[prod]
image_prefix = "suanli-python"
data_root = "gs://team/data"
checkpoint_root = "gs://team/checkpoints"
registry = "gs://team/models"
service_account = "runner"
pipeline_root = "gs://team/runs"
"""
NIGHTLY = """
[nightly]
experiment = "digits"
accelerator = "l4"
target = "prod"
cron = "0 3 * * *"
"""
HARDWARE = ("--accelerator", "l4", "--target", "prod")
CREATE = ("schedule", "digits", "--cron", "0 3 * * *", "--name", "nightly", *HARDWARE)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SUANLI_CACHE_HOME", str(cache_home))
    monkeypatch.setenv("SUANLI_RUNS", str(tmp_path / "runs"))
    # Without a kubeconfig, so that no cluster is looked at.
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "SUANLI_DEBUG", "SUANLI_NAMESPACE", "SUANLI_SERVER_TIMEZONE", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "targets.toml").write_text(TARGETS)
    return tmp_path


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[kubeflow.FakeKubeflow]:
    with kubeflow.FakeKubeflow() as server:
        monkeypatch.setenv("SUANLI_HOST", server.host)
        yield server


class Command:
    """Runs command lines and keeps what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.errors = ""

    def __call__(self, *arguments: str, code: int = 0) -> str:
        status = main(list(arguments))
        out, self.errors = self._capsys.readouterr()
        assert status == code, (status, out, self.errors)
        return out

    def json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code))

    def refused(self, *arguments: str) -> str:
        """The one line of what the user can mend."""
        self(*arguments, code=2)
        lines = self.errors.strip().splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: "), lines
        return lines[0]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def only(fake: kubeflow.FakeKubeflow) -> dict[str, Any]:
    (item,) = fake.recurring_runs.values()
    return item


def test_a_dry_run_says_when_it_would_run_and_asks_no_server(command: Command, fake: kubeflow.FakeKubeflow) -> None:
    out = command(*CREATE, "--dry-run")
    assert "nightly: digits on l4, every day at 03:00 (UTC)" in out
    assert len(re.findall(r"\w{3} \d{4}-\d\d-\d\d 03:00 UTC", out)) == 5
    assert "0 3 * * *, to the server 0 0 3 * * * (UTC)" in out
    assert "no overlap" in out and "no catch-up" in out and "nothing was created" in out
    assert fake.requests == []


def test_a_schedule_runs_at_three_on_the_server(command: Command, fake: kubeflow.FakeKubeflow) -> None:
    out = command(*CREATE, "--set", "training.epochs=3")
    item = only(fake)
    assert item["recurring_run_id"] in out and "enabled" in out
    assert item["trigger"] == {"cron_schedule": {"cron": "0 0 3 * * *"}}
    assert (item["max_concurrency"], item["no_catchup"], item["service_account"]) == ("1", True, "runner")
    parameters = item["runtime_config"]["parameters"]
    assert parameters["training"]["epochs"] == 3
    assert parameters["accelerator_type"] == "nvidia.com/gpu"
    assert item["runtime_config"]["pipeline_root"] == "gs://team/runs"
    spec = fake.versions[item["pipeline_version_reference"]["pipeline_version_id"]]["pipeline_spec"]["pipeline_spec"]
    # Each run looks at its data anew.
    assert spec["root"]["dag"]["tasks"]["prepare"].get("cachingOptions", {}) == {}
    assert spec["root"]["dag"]["tasks"]["train"]["cachingOptions"] == {"enableCache": True}
    assert parameters["freshness"] == ""


def test_programs_read_a_new_schedule_as_json(command: Command, fake: kubeflow.FakeKubeflow) -> None:
    made = command.json("schedule", "digits", "--every", "6h", "--overlap", "2", "--catch-up", "--paused", *HARDWARE)
    assert made["id"] == only(fake)["recurring_run_id"]
    assert (made["name"], made["interval_seconds"], made["enabled"]) == ("digits", 21600, False)
    assert (made["overlap"], made["catch_up"], made["cron"], made["next"]) == (2, True, None, [])
    assert only(fake)["status"] == "DISABLED"


def test_the_clock_may_be_another_than_the_servers(command: Command, fake: kubeflow.FakeKubeflow) -> None:
    made = command.json(*CREATE, "--timezone", "Asia/Shanghai")
    assert (made["cron"], made["server_cron"]) == ("0 3 * * *", "0 0 19 * * *")
    assert made["next"][0].endswith("T03:00:00+08:00")
    (listed,) = command.json("schedules", "list")
    assert listed["words"] == "every day at 03:00 (Asia/Shanghai)"
    assert listed["next"] == made["next"]


def test_the_servers_clock_may_be_told(command: Command, fake: kubeflow.FakeKubeflow) -> None:
    made = command.json(*CREATE, "--server-timezone", "Europe/Berlin")
    assert (made["timezone"], made["server_cron"]) == ("Europe/Berlin", "0 0 3 * * *")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--cron", "0 0 3 * * *", *HARDWARE), 'has six fields; give five, without the seconds: "0 3 * * *"'),
        (("--cron", "every night", *HARDWARE), "has 2 fields; give five fields"),
        (("--cron", "0 3 31 2 *", *HARDWARE), "such a date never comes"),
        (("--cron", "@reboot", *HARDWARE), "is not a time of the calendar"),
        ((*HARDWARE,), "neither a cron nor an interval is given"),
        (("--cron", "0 3 * * *", "--every", "6h", *HARDWARE), "both a cron and an interval are given"),
        (("--every", "6", *HARDWARE), "--every 6: not an interval; for example 30m, 6h or 7d"),
        (("--cron", "0 3 * * *", "--timezone", "Europe/Berlin", *HARDWARE), "changes with daylight saving time"),
        (("--cron", "0 3 * * *", "--server-timezone", "Mars", *HARDWARE), "unknown time zone 'Mars'"),
        (("--cron", "0 3 * * *", "--accelerator", "l5", "--target", "prod"), "l5"),
        (("--cron", "0 3 * * *", "--accelerator", "l4", "--target", "prd"), "unknown target 'prd'"),
        (("--cron", "0 3 * * *", "--accelerator", "l4,v5e-4", "--target", "prod"), "does not try a second pod"),
        (("--cron", "0 3 * * *", "--set", "training.epoch=3", *HARDWARE), "did you mean epochs"),
        (("--cron", "0 3 * * *", "--name", "Nightly Run", *HARDWARE), "'Nightly Run' is not a name for a schedule"),
    ],
)
def test_what_is_wrong_is_one_line_before_any_server_is_asked(
    command: Command, fake: kubeflow.FakeKubeflow, arguments: tuple[str, ...], said: str
) -> None:
    assert said in command.refused("schedule", "digits", *arguments)
    assert fake.requests == []


def test_a_second_schedule_of_a_name_is_refused(command: Command, fake: kubeflow.FakeKubeflow) -> None:
    command(*CREATE)
    command(*CREATE, code=2)
    assert "the schedule 'nightly' already exists" in command.errors
    assert len(fake.recurring_runs) == 1


def test_list_and_show(command: Command, fake: kubeflow.FakeKubeflow) -> None:
    assert command.json("schedules", "list") == []
    command(*CREATE)
    command("schedule", "digits", "--every", "7d", "--name", "weekly", *HARDWARE)
    only_weekly = next(item for item in fake.recurring_runs.values() if item["display_name"] == "weekly")
    only_weekly["description"] = "made in the user interface"
    lines = command("schedules", "list").splitlines()
    assert lines[1].startswith("nightly  enabled  every day at 03:00 (UTC)") and lines[1].endswith("digits on l4")
    assert lines[2].startswith("weekly   enabled  every 7 days")
    shown = command("schedules", "show", "nightly")
    for part in (
        "every day at 03:00 (UTC)",
        "0 0 3 * * * (six fields",
        "no overlap",
        "training-digits-",
        "  train_image",
    ):
        assert part in shown
    document = command.json("schedules", "show", "nightly")
    assert document["declared"]["accelerator"] == "l4"
    assert document["parameters"]["training"]["epochs"] > 0
    fake.versions.clear()
    assert command.json("schedules", "show", "weekly")["version"] == "gone from the server"
    assert "did you mean nightly?" in command.refused("schedules", "show", "nightli")


def test_pause_resume_and_delete(command: Command, fake: kubeflow.FakeKubeflow) -> None:
    command(*CREATE)
    assert command("schedules", "pause", "nightly") == "nightly: paused\n"
    assert only(fake)["status"] == "DISABLED"
    (line,) = command("schedules", "list").splitlines()[1:]
    assert "paused" in line and "2026" not in line.partition("UTC)")[2]
    assert re.fullmatch(r"nightly: resumed, next \w{3} [-\d]+ 03:00 UTC\n", command("schedules", "resume", "nightly"))
    assert only(fake)["status"] == "ENABLED"
    assert command("schedules", "delete", "nightly") == "nightly: deleted\n"
    assert not fake.recurring_runs


def test_programs_read_what_each_verb_did(here: Path, command: Command, fake: kubeflow.FakeKubeflow) -> None:
    made = command.json(*CREATE)
    assert command.json("schedules", "pause", "nightly")["enabled"] is False
    resumed = command.json("schedules", "resume", "nightly")
    assert resumed["enabled"] is True and resumed["next"] == made["next"] and resumed["id"] != made["id"]
    updated = command.json("schedules", "update", "nightly", "--cron", "0 4 * * *")
    assert updated["done"] == "updated" and [change["what"] for change in updated["changes"]] == ["cron"]
    (here / "schedules.toml").write_text(NIGHTLY)
    (applied,) = command.json("schedules", "apply")
    assert (applied["name"], applied["done"]) == ("nightly", "updated")
    assert command.json("schedules", "apply") == []
    assert command.json("schedules", "delete", "nightly")["done"] == "deleted"
    assert not fake.recurring_runs


def test_a_server_of_many_users_keeps_schedules_by_namespace(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with kubeflow.FakeKubeflow(multi_user=True) as fake:
        monkeypatch.setenv("SUANLI_HOST", fake.host)
        command(*CREATE, "--namespace", "team")
        command(*CREATE, "--namespace", "other")
        assert [item["namespace"] for item in fake.recurring_runs.values()] == ["team", "other"]
        command("schedules", "pause", "nightly", "--namespace", "team")
        assert [item["status"] for item in fake.recurring_runs.values()] == ["DISABLED", "ENABLED"]


def test_an_update_says_what_it_changes_and_keeps_the_rest(command: Command, fake: kubeflow.FakeKubeflow) -> None:
    command(*CREATE, "--set", "training.epochs=3")
    before = only(fake)["recurring_run_id"]
    assert command("schedules", "update", "nightly") == "nightly: up to date\n"
    assert only(fake)["recurring_run_id"] == before
    change = ("schedules", "update", "nightly", "--cron", "0 4 * * 1-5", "--accelerator", "v5e-4")
    said = command(*change, "--dry-run")
    assert "nightly: cron is 0 0 3 * * *, should be 0 0 4 * * 1-5" in said
    assert only(fake)["recurring_run_id"] == before
    assert command(*change).endswith("nightly: updated\n")
    item = only(fake)
    assert item["recurring_run_id"] != before
    parameters = item["runtime_config"]["parameters"]
    assert (parameters["training"]["epochs"], parameters["accelerator_type"]) == (3, "google.com/tpu")
    command("schedules", "update", "nightly", "--every", "12h")
    assert only(fake)["trigger"] == {"periodic_schedule": {"interval_second": "43200"}}


def test_an_update_leaves_a_paused_schedule_paused(command: Command, fake: kubeflow.FakeKubeflow) -> None:
    command(*CREATE)
    command("schedules", "pause", "nightly")
    command("schedules", "update", "nightly", "--cron", "0 4 * * *")
    assert only(fake)["status"] == "DISABLED"
    command("schedules", "resume", "nightly")
    assert only(fake)["status"] == "ENABLED"


def test_only_an_update_brings_newer_code(
    command: Command, fake: kubeflow.FakeKubeflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.compile import compiler

    command(*CREATE)
    old = only(fake)["runtime_config"]["parameters"]["train_image"]
    monkeypatch.setattr(compiler, "image_tag", lambda step, chosen, image: f"{step}-newer")
    command("schedules", "pause", "nightly")
    command("schedules", "resume", "nightly")
    assert only(fake)["runtime_config"]["parameters"]["train_image"] == old
    assert f"nightly: image of train is {old}, should be suanli-python-gpu:train-newer" in command(
        "schedules", "update", "nightly"
    )
    assert only(fake)["runtime_config"]["parameters"]["train_image"].endswith(":train-newer")


def test_runs_name_their_images_by_digest_and_a_tag_that_moves_is_no_difference(
    here: Path, command: Command, fake: kubeflow.FakeKubeflow
) -> None:
    (here / "schedules.toml").write_text(NIGHTLY)
    digests = [f"sha256:{character * 64}" for character in "ab"]
    with image_registry.running(digests[0]) as host:
        (here / "targets.toml").write_text(TARGETS.replace('"suanli-python', f'"{host}/team/suanli-python'))
        command("schedules", "apply")
        pods = command.json("submit", "digits", *HARDWARE, "--dry-run", "--no-cluster-checks")["pods"]
    parameters = only(fake)["runtime_config"]["parameters"]
    images = {name: value for name, value in parameters.items() if name.endswith("_image")}
    assert len(images) == 4 and {image.partition("@")[2] for image in images.values()} == {digests[0]}
    assert {pod["image"] for pod in pods} == set(images.values())
    assert command("schedules", "check") == "all schedules are as declared\n"
    parameters["train_image"] = f"{images['train_image'].partition('@')[0]}@{digests[1]}"
    assert command("schedules", "check") == "all schedules are as declared\n"


def test_a_schedule_of_others_is_not_updated(command: Command, fake: kubeflow.FakeKubeflow) -> None:
    command(*CREATE)
    only(fake)["description"] = ""
    assert "nightly was not made by suanli schedule" in command.refused("schedules", "update", "nightly")


def test_check_and_apply_keep_the_schedules_as_they_are_declared(
    here: Path, command: Command, fake: kubeflow.FakeKubeflow
) -> None:
    (here / "schedules.toml").write_text(NIGHTLY)
    assert command("schedules", "check", code=1) == ("nightly: missing, should run every day at 03:00 (UTC)\n")
    assert "nightly: created" in command("schedules", "apply")
    assert command("schedules", "check") == "all schedules are as declared\n"
    assert command.json("schedules", "check") == []
    assert command("schedules", "apply") == "all schedules are as declared\n"

    only(fake)["status"] = "DISABLED"
    assert command("schedules", "check", code=1) == "nightly: state is paused, should be enabled\n"
    assert command("schedules", "apply").endswith("nightly: resumed\n")

    # Servers lose parameters (kubeflow/pipelines#9012) and keep old images after an upgrade (#11296).
    parameters = only(fake)["runtime_config"]["parameters"]
    del parameters["registry"]
    parameters["train_image"] = "suanli-python-gpu:train-old"
    lines = command("schedules", "check", code=1).splitlines()
    assert [line.partition(",")[0] for line in lines] == [
        "nightly: parameter registry is missing",
        "nightly: image of train is suanli-python-gpu:train-old",
    ]
    (difference, _) = command.json("schedules", "check", code=1)
    assert (difference["kind"], difference["live"]) == ("content", "missing")
    broken = only(fake)["recurring_run_id"]
    command("schedules", "apply", "--dry-run")
    assert only(fake)["recurring_run_id"] == broken
    assert command("schedules", "apply").endswith("nightly: updated\n")
    assert command("schedules", "check") == "all schedules are as declared\n"

    command("schedule", "digits", "--every", "7d", "--name", "weekly", *HARDWARE)
    assert command("schedules", "check", code=1) == "weekly: not declared, runs every 7 days\n"
    assert "weekly: left alone; --prune deletes it" in command("schedules", "apply")
    assert "weekly: deleted" in command("schedules", "apply", "--prune")
    assert only(fake)["display_name"] == "nightly"


def test_a_file_that_declares_nothing_wants_none(here: Path, command: Command, fake: kubeflow.FakeKubeflow) -> None:
    (here / "schedules.toml").write_text("")
    assert command("schedules", "check") == "all schedules are as declared\n"
    command(*CREATE)
    assert command("schedules", "check", code=1) == "nightly: not declared, runs every day at 03:00 (UTC)\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (NIGHTLY + 'acelerator = "l4"', "[nightly] has an unknown key acelerator; did you mean accelerator?"),
        (NIGHTLY.replace('"l4"', '"l5"'), "schedules.toml: [nightly] "),
        (NIGHTLY.replace('"prod"', '"prd"'), "schedules.toml: [nightly] unknown target 'prd'"),
        (NIGHTLY.replace('"digits"', '"digit"'), "schedules.toml: [nightly] "),
        (NIGHTLY.replace("0 3 * * *", "0 0 3 * * *"), "has six fields"),
        (NIGHTLY + 'timezone = "Europe/Berlin"', "changes with daylight saving time"),
        (NIGHTLY + 'set = ["training.epoch=3"]', "did you mean epochs"),
        (None, "there is no schedules.toml in /"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_before_any_server_is_asked(
    here: Path, command: Command, fake: kubeflow.FakeKubeflow, text: str | None, said: str
) -> None:
    if text:
        (here / "schedules.toml").write_text(text)
    for verb in ("check", "apply"):
        assert said in command.refused("schedules", verb)
    assert fake.requests == []


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
@pytest.mark.parametrize("verb", [("list",), ("show", "nightly"), ("pause", "nightly"), ("delete", "nightly")])
def test_an_error_of_the_server_is_one_line(
    command: Command, fake: kubeflow.FakeKubeflow, monkeypatch: pytest.MonkeyPatch, verb: tuple[str, ...], status: int
) -> None:
    command(*CREATE)
    monkeypatch.setenv("SUANLI_TIMEOUT", "0.5")
    fake.inject(kubeflow.Fault(on="GET recurringruns", status=status, body="{}", times=50))
    command.refused("schedules", *verb)
    assert only(fake)["status"] == "ENABLED"


def test_a_server_that_is_not_there_is_one_line(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUANLI_HOST", "http://127.0.0.1:1")
    assert "127.0.0.1:1" in command.refused("schedules", "list")
    monkeypatch.delenv("SUANLI_HOST")
    assert "no Kubeflow Pipelines server was named" in command.refused("schedules", "list")


def test_a_server_too_old_to_place_pods_gets_no_schedule(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with kubeflow.FakeKubeflow(tag="2.3.0") as old:
        monkeypatch.setenv("SUANLI_HOST", old.host)
        command(*CREATE, code=2)
        assert "2.3.0" in command.errors
        assert not old.recurring_runs
