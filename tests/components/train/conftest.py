"""Really prepared digits, and a way to train on them."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import places
import pytest
import storage_emulator
from places import Place

from components.core.examples import PreparedData
from components.data import digits
from components.models import cnn
from components.train import inputs
from components.train.callbacks import Throughput
from components.train.settings import TrainingSettings

PROMISES = ("accelerator_type", "accelerator_count", "checkpoint_root")
OUTPUTS = ("trained", "metrics", "curves", "logs")
MODEL = {"filters": (8, 16), "padding": "same", "dense": 16, "dropout": 0.3}
# float32 is what equality is promised for; auto is bfloat16 on a CPU with AMX.
TRAINING = {"epochs": 3, "batch_size": 64, "backend": "tensorflow", "precision": "float32"}


@dataclass
class Trained:
    """What one training left behind."""

    root: Path
    metrics: dict[str, Any]

    @property
    def history(self) -> dict[str, list[float]]:
        values: dict[str, list[float]] = json.loads((self.root / "trained/history.json").read_text())
        return values

    @property
    def record(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads((self.root / "trained/training.json").read_text())
        return values

    def digests(self) -> dict[str, str]:
        """File name -> digest of what later steps read."""
        files = sorted((self.root / "trained").iterdir())
        return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples artifact of 1,797 digits: 0.7 train, 0.1 validation, 0.2 test."""
    from components.prepare.logic import prepare

    root = tmp_path_factory.mktemp("digits")
    data = digits.Settings().parameters()
    prepare(data, str(root / "data"), "", Place(str(root / "examples")), Place(str(root / "report.html")))
    return root / "examples"


@pytest.fixture(scope="session")
def examples(prepared: Path) -> PreparedData:
    return PreparedData.read(prepared)


def arguments(
    root: Path, prepared: Path, model: dict[str, Any], training: dict[str, Any], **promise: str
) -> dict[str, Any]:
    """What the step's logic is called with, artifacts as paths."""
    return {
        "examples": str(prepared),
        "model": cnn.Settings(**MODEL | model).parameters(),
        "training": TrainingSettings(**TRAINING | training).parameters(),
        "checkpoint_root": promise.get("checkpoint_root", str(root / "checkpoints")),
        "accelerator_type": promise.get("accelerator_type", ""),
        "accelerator_count": promise.get("accelerator_count", "0"),
        **{name: str(root / name) for name in OUTPUTS},
    }


@pytest.fixture
def training(tmp_path: Path, prepared: Path) -> Callable[..., Trained]:
    """Train in this process: ``training(seed=3, model={...}, folder="again")``."""

    def run(*, folder: str = "run", model: dict[str, Any] | None = None, **changes: Any) -> Trained:
        from components.train.logic import train

        promise = {key: changes.pop(key) for key in list(changes) if key in PROMISES}
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        values = arguments(root, prepared, model or {}, changes, **promise)
        places = {name: Place(values.pop(name)) for name in ("examples", *OUTPUTS)}
        train(**values, **places)
        return Trained(root, places["metrics"].metadata)

    return run


@pytest.fixture
def process(tmp_path: Path, prepared: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Run the step in a process of its own, which prints a line after each epoch, and what went wrong on stderr."""
    support = Path(places.__file__).parent

    def start(*, folder: str = "run", environment: dict[str, str] | None = None, **changes: Any) -> Any:
        promise = {key: changes.pop(key) for key in list(changes) if key in PROMISES}
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        values = arguments(root, prepared, {}, changes, **promise)
        (root / "arguments.json").write_text(json.dumps(values))
        with (root / "stderr").open("w") as stderr:
            return subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("train_here.py")), str(root / "arguments.json")],
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={
                    **os.environ,
                    "PYTHONPATH": str(support),
                    "TF_CPP_MIN_LOG_LEVEL": "3",
                    **(environment or {}),
                },
            )

    return start


@pytest.fixture
def outer_handler() -> Iterator[None]:
    """Whoever listened to SIGTERM before a training does so again after it, and hears nothing that was meant for it."""
    heard: list[int] = []

    def hear(number: int, _frame: object) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGTERM, hear)
    yield
    assert signal.getsignal(signal.SIGTERM) is hear
    signal.signal(signal.SIGTERM, before)
    assert not heard


@pytest.fixture
def sigterm_at(outer_handler: None, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Send this process SIGTERM once, at the n-th (1, 2, ...) call of one of the callbacks' hooks."""
    told: dict[str, Any] = {}

    def arm(moment: str, number: int) -> None:
        told.setdefault(moment, getattr(Throughput, moment))
        count = 0

        def tell(self: Throughput, *args: Any) -> None:
            nonlocal count
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGTERM)
            told[moment](self, *args)

        monkeypatch.setattr(Throughput, moment, tell)

    return arm


@pytest.fixture(params=["in memory", "streamed"])
def residence(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether the splits are held in memory."""
    if request.param == "streamed":
        monkeypatch.setattr(inputs, "open_split", partial(inputs.open_split, in_memory_bytes=0))
    return str(request.param)


@pytest.fixture(scope="session")
def emulator() -> Iterator[storage_emulator.Emulator]:
    with storage_emulator.running() as running:
        running.create_bucket("trainings")
        yield running


@pytest.fixture
def bucket(emulator: storage_emulator.Emulator, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A place in Cloud Storage of this test's own."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.url)
    return f"gs://trainings/{hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]}"
