from pathlib import Path

import pytest

from pipelines.cli.main import main

# A table without labels.
REVIEWS = str(Path(__file__).with_name("reviews.csv"))
pytestmark = pytest.mark.usefixtures("here")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command says that must end with one line and exit 2."""
    assert main(list(arguments)) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.startswith("error: ") and printed.err.count("\n") == 1, printed
    return printed.err.removeprefix("error: ").strip()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "digitz"], "unknown experiment 'digitz'; did you mean digits?"),
        (["run", "nowhere.py"], "no such experiment file: nowhere.py"),
        (["run"], "no experiment is given; choose from cifar10, "),
        (["run", "digits", "--set", "data.name=digit"], "unknown data source 'digit'; did you mean digits?"),
        (["run", "digits", "--set", "model.name=cn"], "unknown model 'cn'; did you mean cnn?"),
        (
            ["run", "digits", "--set", "data.task=image_clasification"],
            "unknown task 'image_clasification'; did you mean",
        ),
        (["run", "digits", "--set", "training.epoch=3"], "unknown setting training.epoch; did you mean epochs?"),
        (["run", "digits", "--set", "trainin.epochs=3"], "unknown section 'trainin'"),
        (["run", "digits", "--set", "epochs=3"], "--set 'epochs=3': write section.setting=value"),
        (["run", "digits", "--set", "training.epochs"], "--set 'training.epochs': write section.setting=value"),
        (["run", "digits", "--set", "training.epochs=many"], "training.epochs: should be a valid integer"),
        (["run", "digits", "--set", "training.epochs=-1"], "training.epochs: should be greater than or equal to 1"),
        (["run", "digits", "--set", "training.learning_rate=NaN"], "training.learning_rate: should be"),
        (
            ["run", "digits", "--set", "training.augmentation=[1]"],
            "training.augmentation: the task image_classification knows",
        ),
        (
            ["run", "digits", "--set", 'training.augmentation=["flop"]'],
            "training.augmentation: the task image_classification knows flip, shift, crop, not flop",
        ),
        (
            ["run", "digits", "--set", "model.name=lstm"],
            "model: lstm is text -> classes, the task image_classification is",
        ),
        (["run", "digits", "--set", "data.task=text_classification"], "model: cnn is image -> classes, the task text_"),
        (["run", "digits", "--set", "data.split=[0.9,0.9,0.1]"], "data.split: the fractions of train, validation and"),
        (["run", "digits", "--set", "data.split=[1.5,0,0]"], "data.split.0: should be less than or equal to 1"),
        (["run", "digits", "--set", "data.split=[0.8,0,0.2]"], "training.patience: 2 epochs of patience need a valid"),
        (["run", "digits", "--set", "model.filters=[8,8,8,8,8]"], "model: convolution and pool 4 of 5 leave nothing"),
        (["run", "digits", "--set", "export.formats=[]"], "export.formats: "),
        (["run", "digits", "--set", 'export.formats=["tflite"]'], "export.formats.0: should be 'saved_model'"),
        (["run", "digits", "--set", 'evaluation.require=["accuracy is 1"]'], "evaluation.require.0: a threshold reads"),
        (["run", "digits", "--set", "data.version={{workflow.name}}"], "data: version contains {{, which Kubeflow"),
        *(
            ([command, "movie_reviews", "--set", "data.name=text_file", "--set", f"data.file={name}", *more], said)
            for command in ("run", "plan")
            for name, more, said in (
                ("none.csv", [], "data.file: no such file or folder: /"),
                ("s3://bucket/a.csv", [], "data.file: s3://bucket/a.csv is neither a local path nor gs://BUCKET/NAME"),
                (REVIEWS, ["--set", "data.text=review"], f"{REVIEWS} has no column 'label'; choose from id, review"),
                (__file__, [], f"{__file__} ends in none of .csv, .tsv, .jsonl, .ndjson"),
            )
        ),
        (["run", "cifar10", "--set", "data.name=image_folder", "--set", "data.folder=none"], "data.folder: no such"),
        (["run", "digits", "--runs", "on/[here]"], "the runs folder"),
        (["run", "--resume", "latest"], "there are no runs in"),
        (["run", "digits", "--resume", "latest"], "--resume takes its experiment and settings from the run"),
        (["run", "digits", "--sett", "a.b=1"], "No such option: --sett"),
        (["rnu", "digits"], "No such command 'rnu'. Did you mean 'run'"),
        (["compile", "digits", "--output", "file.json"], "file.json: a pipeline file must end in .yaml"),
        (["compile", "digits", "--target", "production"], "there is no targets.toml in /"),
        (["compile"], "name one experiment, or give --all"),
        (["compile", "digits", "--all"], "name one experiment, or give --all"),
        (["compile", "--all"], "--all writes several files; give a folder"),
        (["runs", "show", "latest"], "there are no runs in"),
        (["runs", "prune"], "Missing option '--keep'"),
        (["step", "train"], "there are no runs in"),
        (["tensorboard"], "none of 0 runs in"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_bad_setting_is_one_line_and_starts_nothing(
    arguments: list[str], said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, *arguments).startswith(said)
    assert not list(here.iterdir())


def test_a_runs_folder_that_cannot_be_written_is_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "file").write_text("")
    assert refused(capsys, "run", "digits", "--runs", "file/runs").startswith("cannot write the runs folder")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("EXPERIMENT = 3", "mine.py defines no EXPERIMENT; write EXPERIMENT = Experiment(...)"),
        (
            "import nothing_like_it",
            "mine.py does not load: ModuleNotFoundError: No module named 'nothing_like_it' (line 1)",
        ),
        ("x = (", "mine.py does not load: SyntaxError"),
    ],
)
def test_an_experiment_file_that_is_none_is_one_line(
    text: str, said: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "mine.py").write_text(text)
    assert refused(capsys, "run", "mine.py").startswith(said)
    assert [path.name for path in here.iterdir() if path.name != "__pycache__"] == ["mine.py"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["explain", "digits", "--accelerator", "l5"], "unknown accelerator 'l5'; did you mean l4?"),
        (["explain", "digitz"], "unknown experiment 'digitz'; did you mean digits?"),
        (["plan", "digits", "--deadline", "soon"], "'soon' is not a duration; write 90m, 24h or 2d"),
        (["plan", "digits", "--explain", "h100x3"], "unknown accelerator 'h100x3'; it comes as h100, h100x2"),
        (["plan", "digits", "--calibrate", "nothing"], "there are no runs in"),
        (["plan", "digits", "--prefer", "beauty"], "Invalid value for '--prefer'"),
        (["nodepool", "l5", "--cluster", "c", "--location", "l"], "unknown accelerator 'l5'"),
        (["nodepool", "v5e-16", "--cluster", "c", "--location", "l"], "accelerator 'v5e-16': one task is one pod"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {said}") and printed.err.count("\n") == 1 and printed.out == ""
