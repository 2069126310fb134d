from pathlib import Path

import pytest

from components.core.errors import StepError
from pipelines.compile import targets

GOOD = """
[gke]
image_prefix = "europe-docker.pkg.dev/team/suanli/python"
data_root = "gs://team/data"
checkpoint_root = "gs://team/checkpoints"
registry = "gs://team/registry"
"""


@pytest.mark.parametrize("bucket", ["team", "team-a_b.example.com", "0team"])
@pytest.mark.parametrize("prefix", ["localhost:5000/suanli", "ghcr.io/team/suanli/suanli-python", "team/python"])
def test_what_buckets_and_images_are_called_is_taken(tmp_path: Path, bucket: str, prefix: str) -> None:
    text = GOOD.replace("gs://team/", f"gs://{bucket}/").replace("europe-docker.pkg.dev/team/suanli/python", prefix)
    (tmp_path / "targets.toml").write_text(text)
    assert targets.load("gke", tmp_path).registry == f"gs://{bucket}/registry"


def test_a_target_is_read(tmp_path: Path) -> None:
    (tmp_path / "targets.toml").write_text(GOOD)
    assert targets.load("gke", tmp_path).registry == "gs://team/registry"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no targets.toml in /"),
        ("[gke", "targets.toml: "),
        (GOOD.replace("[gke]", "[gkee]"), "unknown target 'gke'; did you mean gkee?"),
        (GOOD + 'registri = "x"', "has an unknown key registri; did you mean registry?"),
        (GOOD.replace("image_prefix", "# image_prefix"), "lacks image_prefix"),
        (GOOD.replace("gs://team/data", "data"), "data_root must be gs:// or an absolute path, not 'data'"),
        (GOOD + 'bucket_claim = "Data"', "bucket_claim"),
        (
            GOOD.replace("gs://team/data", "/data") + 'bucket_claim = "suanli-data"',
            "bucket_claim mounts the bucket of data_root, which is '/data'",
        ),
        ("gke = 3", "is no table"),
        # Placeholders, as pages write them.
        *(
            (GOOD.replace("gs://team/data", f"gs://{name}/data"), f"data_root: {name!r} is not a bucket's name")
            for name in ("BUCKET", "<bucket>", "$BUCKET", "{bucket}", "", "Team", "your bucket")
        ),
        (GOOD + 'pipeline_root = "s3://BUCKET/kfp"', "pipeline_root: 'BUCKET' is not a bucket's name"),
        (
            GOOD.replace("/team/suanli", "/PROJECT/suanli"),
            "image_prefix: 'europe-docker.pkg.dev/PROJECT/suanli",
        ),
        (GOOD + 'service_account = "SERVICE_ACCOUNT"', "service_account: "),
        (GOOD + 'namespace = "<namespace>"', "namespace: "),
        (GOOD + 'queue = "QUEUE"', "queue: "),
    ],
)
def test_a_wrong_target_is_told_in_one_line(text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "targets.toml").write_text(text)
    with pytest.raises(StepError) as caught:
        targets.load("gke", tmp_path)
    assert message in str(caught.value)
    assert "\n" not in caught.value.message
