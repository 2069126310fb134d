"""What is tried of a target before anything is sent to it."""

from pathlib import Path
from typing import Any

import pytest

from components.data import digits, image_folder, parallel_text, text_file, text_folder, tfds_directory
from pipelines.cluster import preflight
from pipelines.compile.check_result import CheckResult
from pipelines.compile.targets import Target


def target(root: str, **roots: str) -> Target:
    places = {"data_root": f"{root}/data", "checkpoint_root": f"{root}/checkpoints", "registry": f"{root}/registry"}
    return Target(name="gke", image_prefix="team/python", **{**places, **roots})


def of(target: Target) -> dict[str, CheckResult]:
    return {result.what: result for result in preflight.buckets(target)}


def test_each_bucket_is_tried_once_and_one_that_does_not_exist_is_a_failure(bucket: str) -> None:
    name = bucket.removeprefix("gs://")
    found = of(target(bucket, registry="gs://nobody-made-this/registry", pipeline_root=f"{bucket}/kfp"))
    assert {what: result.level for what, result in found.items()} == {
        f"bucket {name}": "ok",
        "bucket nobody-made-this": "fail",
    }
    failed = found["bucket nobody-made-this"]
    assert failed.found == "does not exist" and "gcloud storage buckets create gs://nobody-made-this" in failed.advice


def test_a_bucket_that_cannot_be_tried_from_here_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    (result,) = of(target("gs://team")).values()
    assert result.level == "warn" and result.found.startswith("not known whether runs may use it: Cloud Storage: ")
    assert "gcloud auth application-default login" in result.advice


def test_roots_that_are_no_buckets_are_not_tried() -> None:
    assert of(target("/mnt/team", pipeline_root="s3://team/kfp")) == {}


OWN_ROOTS = {name: f"gs://team/{name}" for name in ("data_root", "checkpoint_root", "registry")}
TEAM = Target(name="gke", image_prefix="team/python", shared_paths=("/srv/shared",), **OWN_ROOTS)


@pytest.mark.parametrize(
    ("module", "settings", "name"),
    [
        (image_folder, {"folder": "{}", "image_shape": (8, 8, 3)}, "folder"),
        (text_folder, {"folder": "{}"}, "folder"),
        (text_file, {"file": "{}/a.csv"}, "file"),
        (parallel_text, {"file": "{}/a.csv"}, "file"),
        (tfds_directory, {"directory": "{}"}, "directory"),
    ],
    ids=lambda value: value.__name__.rpartition(".")[2] if hasattr(value, "__name__") else "",
)
def test_a_local_path_is_refused_with_what_to_do_and_a_bucket_is_not(
    module: Any, settings: dict[str, Any], name: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("")

    def checked(root: str) -> list[Any]:
        values = {key: value.format(root) if isinstance(value, str) else value for key, value in settings.items()}
        return list(preflight.data(module.Settings(**values), TEAM))

    (found,) = checked(str(tmp_path))
    path = settings[name].format(tmp_path)
    there = f"gs://team/own/{Path(path).name}"
    assert (found.level, found.what) == ("fail", f"data.{name}")
    assert found.found == f"{path} is on this machine, and the run's pods do not see it"
    recursive = "" if path.endswith(".csv") else "--recursive "
    assert found.advice.startswith(f"gcloud storage cp {recursive}{path} {there}, then --set data.{name}={there}")
    assert [result.level for result in checked("gs://team/own")] == ["ok"]
    assert [result.level for result in checked("/srv/shared/birds")] == ["ok"]
    assert [result.level for result in checked("/srv/shared2")] == ["fail"]
    (other,) = checked("s3://team")
    assert other.level == "fail" and "neither a local path nor gs://BUCKET/NAME" in other.found


def test_packaged_data_need_no_bucket() -> None:
    assert list(preflight.data(digits.Settings(), TEAM)) == []
