"""What is tried of a target before anything is sent to it."""

import pytest

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
