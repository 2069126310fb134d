import math
from collections.abc import Callable
from typing import Any

import pytest

from components.core import memory
from components.core.devices import Device
from components.core.errors import StepError
from components.train import failure
from components.train.failure import MemoryEstimate
from components.train.settings import TrainingSettings

GB = 2**30
CPU = Device("cpu", "CPU", 1, 2, "tensorflow", "float32", True)


def test_a_loss_that_is_not_finite_tells_where_and_what_was_finite_last() -> None:
    check = failure.LossCheck(TrainingSettings())
    check.check("loss", 2.25, epoch=1, step=40, rate=0.1)
    check.check("val_loss", 2.5, epoch=1, step=40, rate=0.1)
    check.check("loss", 17.125, epoch=2, step=16, rate=0.1)
    with pytest.raises(StepError) as caught:
        check.check("loss", math.nan, epoch=2, step=17, rate=0.1)
    assert caught.value.kind == "model"
    assert caught.value.message == (
        "the loss is nan in epoch 2 by step 17, at learning rate 0.1; the last finite values: "
        "loss 17.12 in epoch 2 by step 16, val_loss 2.5 in epoch 1 by step 40"
    )
    assert "training.learning_rate" in caught.value.advice and "precision" not in caught.value.advice


def test_a_first_loss_that_is_infinite_says_that_nothing_was_finite_before() -> None:
    check = failure.LossCheck(TrainingSettings(precision="mixed_float16"))
    with pytest.raises(StepError, match=r"inf in epoch 1 by step 1.*no value before it was finite.*mixed_bfloat16"):
        check.check("loss", math.inf, epoch=1, step=1, rate=1.0)


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        # As the backends say it, the first three on this machine's CPU.
        ("OOM when allocating tensor with shape[1000000,1000] and type float on /job:localhost", 4_000_000_000),
        ("Unable to allocate 364. TiB for an array with shape (10000000, 10000000)", 364 * 2**40),
        ("RESOURCE_EXHAUSTED: Out of memory allocating 40000000000000 bytes.", 40_000_000_000_000),
        ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 4770354232 bytes.", 4_770_354_232),
        ("Failed to allocate request for 6.25GiB (6710886400B) on device ordinal 0", 25 * GB // 4),
        ("Resource exhausted: Attempting to reserve 3.5G at the bottom of memory.", 7 * GB // 2),
        ("CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 139.72 GiB", 20 * GB),
        ("OOM when allocating tensor with shape[64,8] and type half", 1024),
        ("something else", 0),
    ],
)
def test_the_bytes_that_a_backend_was_asked_for_are_read_from_its_words(text: str, asked: int) -> None:
    assert failure.requested_bytes(text) == asked


def told(text: str, estimate: MemoryEstimate) -> StepError:
    found = failure.from_exception(RuntimeError(f"RESOURCE_EXHAUSTED: out of memory: {text}"), estimate, "epoch 3")
    assert found is not None and found.kind == "memory"
    return found


@pytest.mark.parametrize(
    ("text", "estimate", "fits"),
    [
        # XLA tells the whole need: 22 GB of which 2 are fixed, of 16: 14 / 20 of the batch, and the power of two below.
        ("Used 22.00G of 16.00G hbm.", MemoryEstimate(256, 1, 2 * GB, 0, 0), 128),
        ("Used 22.00G of 16.00G hbm.", MemoryEstimate(1024, 8, 2 * GB, 0, 0), 512),
        # The layers' need is told by the model: 0.9 of 16 GB, less 2, over 64 MB an example.
        ("", MemoryEstimate(1024, 1, 2 * GB, GB // 16, 16 * GB), 128),
        ("", MemoryEstimate(1024, 4, 2 * GB, GB // 16, 8 * GB), 4 * 64),
        # What is known would fit: half is a try.
        ("", MemoryEstimate(128, 1, 0, 1024, 16 * GB), 64),
        ("", MemoryEstimate(100, 1, 0, 0, 0), 32),
        # One tensor alone is larger than all there is.
        ("Tried to allocate 64.00 GiB", MemoryEstimate(256, 1, 0, GB, 16 * GB), 8),
    ],
)
def test_the_batch_that_fits_is_in_proportion_to_the_memory(text: str, estimate: MemoryEstimate, fits: int) -> None:
    found = told(text, estimate)
    assert f"training.batch_size={fits}," in found.advice and "an estimate" in found.advice
    assert f"with batches of {estimate.batch_size}" in found.message and "in epoch 3" in found.message


def test_a_model_that_is_larger_than_the_memory_is_said_to_be() -> None:
    found = told("Used 22.00G of 16.00G hbm.", MemoryEstimate(8, 8, 20 * GB, 0, 0))
    assert found.message.endswith("23.6 GB were needed of 17.2 GB")
    assert found.advice.startswith("not even one example per device fits")


@pytest.fixture(scope="module")
def model() -> Any:
    import keras

    made = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    made.compile(optimizer="adam", loss="mse")
    made.optimizer.build(made.trainable_variables)
    return made


def test_what_a_model_needs_follows_from_its_layers(model: Any) -> None:
    weights = 3 * 3 * 4 + 4 + 6 * 6 * 4 * 2 + 2
    found = failure.estimate_memory(model, 32, CPU)
    # Weights and gradients, Adam's two moments of each, its step and its rate.
    assert found.fixed == 4 * (4 * weights + 2)
    assert found.per_example == 2 * 4 * (144 + 144 + 2)
    assert found.available == memory.of_host() and found.activations() == 32 * found.per_example


def tensorflow(size: int) -> None:
    import tensorflow as tf

    tf.fill([size, size], 1.0)


def jax(size: int) -> None:
    import jax.numpy as jnp

    jnp.zeros((size, size)).block_until_ready()


def numpy(size: int) -> None:
    import numpy as np

    np.zeros((size, size), "float32")


@pytest.mark.parametrize("allocate", [tensorflow, jax, numpy])
def test_each_backend_s_own_exception_is_understood(allocate: Callable[[int], None], model: Any) -> None:
    with pytest.raises(Exception) as caught:
        allocate(10**7)
    found = failure.from_exception(caught.value, failure.estimate_memory(model, 4096, CPU), "epoch 1")
    assert found is not None and found.kind == "memory"
    assert "400000.0 GB more were requested" in found.message or "4002" in found.message
    assert f"of {memory.format_bytes(memory.of_host())} in all" in found.message


# --- devices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Unable to determine the device handle for GPU 0000:3B:00.0: GPU is lost.  Reboot the system",
        "failed to query event: CUDA_ERROR_ECC_UNCORRECTABLE: uncorrectable ECC error encountered",
        "CUDA error: uncorrectable ECC error encountered",
        "cudaSetDevice() on GPU:0 failed. Status: CUDA-capable device(s) is/are busy or unavailable",
        "INTERNAL: Core halted unexpectedly: INTERNAL: Accelerator device halted prematurely",
    ],
)
def test_a_lost_device_is_the_machine_s_fault(text: str) -> None:
    found = failure.from_exception(RuntimeError(text), MemoryEstimate(32, 1, 0, 0, 0), "epoch 2")
    assert found is not None and found.kind == "resources"
    assert found.message.startswith("an accelerator was lost in epoch 2") and "checkpoint" in found.advice


@pytest.mark.parametrize("text", ["CUDA_ERROR_ILLEGAL_ADDRESS", "shapes do not match", "no such file: lost.png"])
def test_anything_else_stays_what_it_is(text: str) -> None:
    assert failure.from_exception(RuntimeError(text), MemoryEstimate(32, 1, 0, 0, 0), "epoch 2") is None
