"""What training will compute with is in the key of its result, as the machine has it and not as the settings say."""

import subprocess
import sys
from typing import Any

import pytest

from components.core import devices
from components.core.devices import Visible
from components.core.errors import StepError
from components.train.environment import environment
from components.train.settings import TrainingSettings


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Three cores without AMX, an image for TensorFlow, no accelerator."""
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    monkeypatch.setattr(devices, "cpu_count", lambda: 3)
    monkeypatch.setattr(devices, "cpu_facts", lambda text=None: ("CPU", frozenset()))
    monkeypatch.setattr(devices, "DEVICE_FILES", ())
    return monkeypatch


def found(accelerator_type: str = "", **settings: Any) -> str:
    training = TrainingSettings(**{"backend": "auto", "precision": "auto", "threads": 0} | settings).parameters()
    return environment(training, accelerator_type, model={}, checkpoint_root="/checkpoints", accelerator_count="0")


def test_what_is_left_to_the_machine_is_resolved(machine: pytest.MonkeyPatch) -> None:
    assert found() == "tensorflow, float32, 3 threads, 1 x cpu"
    machine.setattr(devices, "cpu_facts", lambda text=None: ("CPU", frozenset({"amx_bf16"})))
    machine.setattr(devices, "cpu_count", lambda: 8)
    assert found() == "tensorflow, mixed_bfloat16, 8 threads, 1 x cpu"
    machine.setenv("KERAS_BACKEND", "jax")
    assert found() == "jax, mixed_bfloat16, 8 threads, 1 x cpu"


def test_what_the_settings_fix_is_taken(machine: pytest.MonkeyPatch) -> None:
    assert found(backend="jax", precision="mixed_float16", threads=2) == "jax, mixed_float16, 2 threads, 1 x cpu"


def test_an_accelerator_is_looked_for_where_its_device_file_is(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(devices, "DEVICE_FILES", ("null",))
    machine.setattr(devices, "visible", lambda backend: Visible("gpu", "NVIDIA L4", 2, (8, 9)))
    assert found() == "tensorflow, mixed_bfloat16, 3 threads, 2 x gpu"


def test_a_backend_that_is_not_installed_is_refused_before_anything_is_computed(machine: pytest.MonkeyPatch) -> None:
    machine.setitem(sys.modules, "torch", None)
    with pytest.raises(StepError, match=r"training\.backend: torch is not installed here"):
        found(backend="torch")


def test_without_an_accelerator_no_backend_is_imported() -> None:
    script = f"""
import sys
from components.core import devices
from components.train.environment import environment
devices.DEVICE_FILES = ()
print(environment({TrainingSettings().parameters()!r}, ""))
assert not {{"tensorflow", "keras", "jax", "numpy"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "threads, 1 x cpu" in done.stdout
