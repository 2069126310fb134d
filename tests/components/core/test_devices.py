"""Devices: what auto means, and what is refused."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from components.core import devices, sources
from components.core.devices import Visible
from components.core.errors import StepError

CPU = Visible("cpu", "a CPU", 1)
SAPPHIRE_RAPIDS = "processor\t: 0\nmodel name\t: Intel(R) Xeon(R)\nflags\t\t: fpu avx512_bf16 amx_bf16 amx_tile\n\n"
GENOA = "processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: fpu avx512_bf16\n\n"


def gpu(major: int, count: int = 1) -> Visible:
    return Visible("gpu", f"compute capability {major}", count, (major, 0))


@pytest.mark.parametrize(
    ("found", "cpuinfo", "policy"),
    [
        (CPU, SAPPHIRE_RAPIDS, "mixed_bfloat16"),
        (CPU, GENOA, "float32"),
        (CPU, "", "float32"),
        (gpu(9), "", "mixed_bfloat16"),
        (gpu(8), "", "mixed_bfloat16"),
        (gpu(7), "", "mixed_float16"),
        (gpu(6), "", "float32"),
        (Visible("tpu", "TPU v5e", 4), "", "mixed_bfloat16"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_auto_precision_is_what_the_device_has_units_for(found: Visible, cpuinfo: str, policy: str) -> None:
    assert devices.choose_precision("auto", found, devices.cpu_facts(cpuinfo)[1]) == policy


def test_a_precision_that_was_asked_for_is_taken() -> None:
    assert devices.choose_precision("mixed_bfloat16", CPU, frozenset()) == "mixed_bfloat16"


@pytest.mark.parametrize(
    ("accelerator", "count", "found"),
    [
        ("", "0", CPU),
        ("", "", gpu(8)),
        ("nvidia.com/gpu", "0", CPU),
        ("nvidia.com/gpu", "1", gpu(8)),
        ("nvidia.com/gpu", "1", gpu(8, count=2)),
        ("google.com/tpu", "4", Visible("tpu", "TPU v5e", 4)),
    ],
)
def test_a_promise_that_is_kept_is_accepted(accelerator: str, count: str, found: Visible) -> None:
    devices.check_promise(accelerator, count, found)


@pytest.mark.parametrize(
    ("accelerator", "count", "found", "kind", "words"),
    [
        ("nvidia.com/gpu", "1", CPU, "resources", ["1 x nvidia.com/gpu was promised", "1 x cpu"]),
        ("nvidia.com/gpu", "4", gpu(8, count=2), "resources", ["4 x nvidia.com/gpu", "2 x gpu"]),
        ("google.com/tpu", "4", gpu(8, count=4), "resources", ["4 x google.com/tpu", "4 x gpu"]),
        ("amd.com/gpu", "1", CPU, "settings", ["unknown accelerator type 'amd.com/gpu'", "nvidia.com/gpu"]),
        ("nvidia.com/gpu", "two", CPU, "settings", ["whole number", "'two'"]),
    ],
)
def test_a_broken_promise_names_what_was_promised_and_what_is_there(
    accelerator: str, count: str, found: Visible, kind: str, words: list[str]
) -> None:
    with pytest.raises(StepError) as caught:
        devices.check_promise(accelerator, count, found)
    assert caught.value.kind == kind
    assert all(word in str(caught.value) for word in words)


def test_this_machine_refuses_an_accelerator_that_it_does_not_have() -> None:
    found = devices.visible("tensorflow")
    more = str(found.count + 1)
    with (
        pytest.raises(StepError, match=f"{more} x nvidia.com/gpu was promised"),
        devices.configured(backend="tensorflow", accelerator_type="nvidia.com/gpu", accelerator_count=more),
    ):
        pass


def test_auto_takes_the_backend_that_the_image_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert devices.choose_backend("auto") == "jax"
    monkeypatch.delenv("KERAS_BACKEND")
    assert devices.choose_backend("auto") == "tensorflow"
    assert devices.choose_backend("auto", "google.com/tpu") == "jax"


def test_a_backend_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it could not be imported
    with pytest.raises(StepError, match=r"torch is not installed here .*suanli\[torch\]") as caught:
        devices.choose_backend("torch")
    assert caught.value.kind == "settings"


def test_torch_does_not_load_triton_whose_llvm_would_abort_a_process_with_tensorflow(tmp_path: Path) -> None:
    """Packages that do what torch and Triton do when they are imported: the one asks for the other, which aborts."""
    packages = {
        "triton": "import os\nos.abort()\n",
        "torch": "import importlib.util\nfound = importlib.util.find_spec('triton')\n"
        "try:\n    import triton\nexcept ImportError:\n    triton = None\ndef set_num_threads(count): pass\n",
    }
    for name, text in packages.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    script = (
        "from components.core import devices\ndevices._import_keras('torch', 1, limited=True)\n"
        "import torch\nprint(torch.triton, torch.found)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(sources.ROOT)])}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "None None\n"), done.stderr


def test_a_second_backend_in_one_process_is_refused() -> None:
    import keras

    other = "jax" if keras.backend.backend() == "tensorflow" else "tensorflow"
    with pytest.raises(StepError, match="process of its own"), devices.configured(backend=other):
        pass


def test_opening_seeds_everything_and_restores_the_precision() -> None:
    import keras
    import numpy as np

    drawn = []
    for _ in range(2):
        with devices.configured(backend="tensorflow", precision="mixed_bfloat16", seed=7) as device:
            assert keras.config.dtype_policy().name == device.precision == "mixed_bfloat16"
            layer = keras.layers.Dense(2)
            layer.build((None, 3))
            drawn.append((np.random.rand(), keras.ops.convert_to_numpy(layer.kernel).tolist(), layer.name))
    assert drawn[0] == drawn[1]
    assert keras.config.dtype_policy().name == "float32"


def test_threads_cannot_change_once_tensorflow_runs() -> None:
    import tensorflow as tf

    tf.constant(0) + 0  # starts it
    with pytest.raises(StepError, match=r"training\.threads"), devices.configured(backend="tensorflow", threads=97):
        pass
