from pathlib import Path

import pytest
import yaml
from answers import answer

from pipelines import experiment

pytestmark = pytest.mark.usefixtures("here")


def test_compile_writes_the_settings_and_the_target(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--set", "training.epochs=3", "--target", "local")
    printed = answer(capsys, "compile", "digits", *arguments)
    answer(capsys, "compile", "digits", "--output", "build/mine.yaml", *arguments)
    assert (here / "build" / "mine.yaml").read_text() == printed
    parameters = next(yaml.safe_load_all(printed))["root"]["inputDefinitions"]["parameters"]
    assert parameters["training"]["defaultValue"]["epochs"] == 3
    assert parameters["registry"]["defaultValue"] == str(here / "runs" / "registry" / "digits")


def test_compile_all_writes_a_file_for_each_experiment(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "targets.toml").write_text(
        '[team]\nimage_prefix = "docker.pkg.dev/team/suanli"\ndata_root = "gs://d"\n'
        'checkpoint_root = "gs://c"\nregistry = "gs://r"\n'
    )
    answer(capsys, "compile", "--all", "--output", "build", "--target", "team")
    assert sorted(path.stem for path in (here / "build").iterdir()) == experiment.names()
    assert "gs://r/imagenet" in (here / "build" / "imagenet.yaml").read_text()
