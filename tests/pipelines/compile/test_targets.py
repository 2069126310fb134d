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


def test_a_target_is_read(tmp_path: Path) -> None:
    (tmp_path / "targets.toml").write_text(GOOD)
    assert targets.load("gke", tmp_path).registry == "gs://team/registry"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no targets.toml here, so no target 'gke'"),
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
    ],
)
def test_a_wrong_target_is_told_in_one_line(text: str | None, message: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "targets.toml").write_text(text)
    with pytest.raises(StepError) as caught:
        targets.load("gke", tmp_path)
    assert message in str(caught.value)
    assert "\n" not in caught.value.message
