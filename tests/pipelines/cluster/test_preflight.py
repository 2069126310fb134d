"""What is tried of a target before anything is sent to it."""

from pathlib import Path
from typing import Any

import faulty_proxy
import pytest
from storage_emulator import Emulator

from components import storage
from components.core.errors import StepError
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


def tried(root: str, **roots: str) -> list[CheckResult]:
    return list(preflight.buckets(target(root, **roots), write=True))


def test_doctor_writes_reads_and_removes_below_each_root_and_leaves_nothing(bucket: str) -> None:
    (result,) = tried(bucket, registry=f"{bucket}/team/registry")
    assert result.level == "ok" and result.found.endswith(
        f"{bucket}/data, {bucket}/checkpoints, {bucket}/team/registry"
    )
    assert storage.listing(bucket) == []
    assert [result.level for result in tried("gs://nobody-made-this")] == ["fail"]


@pytest.mark.parametrize(
    ("forbidden", "missing", "left"),
    [
        ("POST .*/upload/", "storage.objects.create is missing (you cannot write)", 0),
        ("GET /(download|.*alt=media)", "storage.objects.get is missing (you cannot read)", 0),
        ("DELETE ", "storage.objects.delete is missing (you cannot remove, so data/.suanli-doctor-", 3),
        ("GET /storage/v1/b/[^/]*/o\\?", "storage.objects.list is missing (you cannot list)", 0),
    ],
)
def test_a_missing_right_is_named_with_the_role_that_has_it(
    bucket: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, forbidden: str, missing: str, left: int
) -> None:
    with faulty_proxy.running(emulator.url, seed=1) as proxy:
        proxy.forbidden = forbidden
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", proxy.url)
        results = tried(bucket)
    assert [result.level for result in results] == ["warn"] * 3  # a line for each root
    assert results[0].found.startswith(f"{bucket}/data: ") and missing in results[0].found
    assert f"gs://{bucket.removeprefix('gs://')} --role=roles/storage.objectAdmin" in results[0].advice
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.url)
    assert len(storage.listing(bucket)) == left


@pytest.mark.parametrize("uri", ["gs://BUCKET/own/birds", "gs://<bucket>/birds", "gs://$BUCKET/birds", "gs:///birds"])
def test_a_placeholder_that_was_left_is_refused_wherever_a_bucket_is_named(uri: str) -> None:
    (found,) = preflight.data(image_folder.Settings(folder=uri, image_shape=(8, 8, 3)), TEAM)
    assert found.level == "fail" and "is not a bucket's name" in found.found and found.advice == "set data.folder"
    with pytest.raises(StepError, match="is not a bucket's name"):
        storage.exists(uri)


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
