"""Profiles: what a training step computes, moves and holds, against numbers known from elsewhere."""

import json
import math
from pathlib import Path

import pytest

from components.core import sources
from components.models import cnn, resnet
from components.profile import Profile, counting
from components.train import compiling
from pipelines.hardware.planner import profiles


@pytest.fixture(scope="module")
def keras():
    import keras

    return keras


@pytest.fixture(scope="module")
def tutorial(keras) -> Profile:
    return counting.profile(lambda: cnn.build(cnn.Settings(), (32, 32, 3), 10))


@pytest.fixture(scope="module")
def resnet50(cache_home: Path) -> Profile:
    """Counted as the planner counts it, in a process of its own, and kept for the planner's own tests."""
    arguments = {"input_shape": [224, 224, 3], "units": 1000}
    return profiles.profile(resnet.Settings(depth=50).parameters(), arguments, cache_home / "profiles")


def test_the_tutorials_network_costs_29_megaflop_an_image(tutorial: Profile) -> None:
    assert tutorial.parameters == tutorial.trainable == 126_730
    assert tutorial.step("float32").flops.each == pytest.approx(29.1e6, rel=0.005)


def test_resnet50_costs_what_the_literature_says(resnet50: Profile) -> None:
    step = resnet50.step("float32")
    assert step.forward_flops.each == pytest.approx(2 * 4.09e9, rel=0.005)  # torchvision: 4.09 GMAC
    # Three times the forward pass, less the first convolution's gradient for its input, which nobody needs.
    assert step.flops.each == pytest.approx(3 * 2 * 4.09e9, rel=0.015)
    assert resnet50.trainable == 25_557_032


@pytest.mark.parametrize(
    ("build", "shape"), [(lambda: cnn.build(cnn.Settings(), (32, 32, 3), 10), (32, 32, 3))], ids=["cnn"]
)
def test_the_forward_pass_agrees_with_the_layers_own_kernels(keras, build, shape, tutorial: Profile) -> None:
    assert tutorial.step("float32").forward_flops.each == 2 * compiling.multiply_adds(build())


def test_all_numbers_survive_json(tutorial: Profile) -> None:
    assert Profile.from_record(json.loads(json.dumps(tutorial.record()))) == tutorial


def test_sixteen_bits_halve_the_activations_and_leave_the_flops(resnet50: Profile) -> None:
    full, half = resnet50.step("float32"), resnet50.step("mixed_bfloat16")
    assert half.flops == full.flops
    assert half.kept.each == pytest.approx(full.kept.each / 2, rel=0.02)


def test_fused_kernels_move_less_than_operations_by_themselves(resnet50: Profile) -> None:
    step = resnet50.step("float32")
    fused, single = (sum(one.count * one.bytes.each for one in part) for part in (step.fused, step.single))
    assert fused < 0.5 * single
    assert sum(one.count for one in step.fused) < 0.5 * sum(one.count for one in step.single)


def test_what_waits_for_the_backward_pass_is_alive_at_the_fullest_moment(resnet50: Profile) -> None:
    for step in resnet50.traced.values():
        assert step.peak_fused.at(32) >= step.kept.at(32) * 0.99
        assert step.peak.each >= step.peak_fused.each * 0.99


def test_the_policy_in_force_is_restored(keras) -> None:
    before = keras.config.dtype_policy().name
    counting.profile(lambda: cnn.build(cnn.Settings(filters=(4,)), (8, 8, 1), 2))
    assert keras.config.dtype_policy().name == before


def flops(keras, model) -> tuple[float, float]:
    """FLOPs an example of forward pass and step."""
    step = counting.traced_step(model)
    return step.forward_flops.each, step.flops.each


@pytest.mark.parametrize(
    ("layer", "forward"),
    [
        ("Conv2D(8, 3, groups=2)", 2 * 30 * 30 * 8 * 9 * 2),
        ("DepthwiseConv2D(3)", 2 * 30 * 30 * 4 * 9),
        ("SeparableConv2D(8, 3)", 2 * 30 * 30 * 4 * 9 + 2 * 30 * 30 * 4 * 8),
        ("Conv2DTranspose(8, 2, strides=2)", 2 * 32 * 32 * 4 * 4 * 8),
        ("Dense(8)", 2 * 32 * 32 * 4 * 8),
        ("EinsumDense('abcd,de->abce', (32, 32, 8))", 2 * 32 * 32 * 4 * 8),
    ],
)
def test_a_layers_forward_pass_counts_its_multiply_adds_twice(keras, layer: str, forward: float) -> None:
    inputs = keras.Input((32, 32, 4))
    model = keras.Model(inputs, eval(f"keras.layers.{layer}")(inputs))
    got, step = flops(keras, model)
    assert got == forward
    # Its inputs are data: the weights' gradient alone. A second layer below it would ask for the inputs' too.
    assert step <= 3 * forward


def test_attention_counts_its_projections_and_both_its_products(keras) -> None:
    length, width, heads = 16, 32, 4
    inputs = keras.Input((length, width))
    model = keras.Model(inputs, keras.layers.MultiHeadAttention(heads, width // heads)(inputs, inputs))
    got, _ = flops(keras, model)
    assert got == 4 * 2 * length * width**2 + 2 * 2 * length**2 * width


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("SimpleRNN", 1)])
def test_a_loop_counts_each_of_its_turns(keras, kind: str, gates: int) -> None:
    length, width, units = 20, 16, 8
    inputs = keras.Input((length, width))
    model = keras.Model(inputs, getattr(keras.layers, kind)(units)(inputs))
    forward, step = flops(keras, model)
    assert forward == length * 2 * (width + units) * gates * units
    assert step > 1.5 * forward


LENGTH, WORDS, WIDTH, UNITS = 20, 500, 32, 16


def embedded(keras, body):
    """A model of tokens: an embedding, then a body of layers."""
    tokens = keras.Input((LENGTH,), dtype="int32")
    return keras.Model(tokens, body(keras.layers.Embedding(WORDS, WIDTH, mask_zero=True)(tokens)))


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3)])
def test_a_recurrent_network_of_tokens_counts_both_directions_and_what_it_keeps(keras, kind: str, gates: int) -> None:
    layers = keras.layers
    both = layers.Bidirectional(getattr(layers, kind)(UNITS))
    profile = counting.profile(lambda: embedded(keras, lambda x: layers.Dense(3, dtype="float32")(both(x))))
    assert (profile.input_shape, profile.input_dtype, profile.input_bytes) == ((LENGTH,), "int32", 4 * LENGTH)
    step = profile.step("float32")
    forward = 2 * LENGTH * 2 * (WIDTH + UNITS) * gates * UNITS + 2 * 2 * UNITS * 3
    # Every product has two gradients: the embedding below the loop asks for its inputs' too.
    assert (step.forward_flops.each, step.flops.each) == (forward, 3 * forward)
    assert profile.step("mixed_bfloat16").flops == step.flops
    # At least the input, the state and the gates of every turn wait for the backward loop; an LSTM's cell besides.
    kept = 2 * LENGTH * 4 * (WIDTH + (1 + gates) * UNITS)
    assert kept < step.kept.each < 1.6 * kept
    assert step.peak.each >= step.kept.each
    assert {"gather", "matmul", "memory"} == {kernel.kind for kernel in step.single}


def test_a_recurrent_networks_weights_are_not_kept_for_each_turn(keras) -> None:
    step = counting.traced_step(embedded(keras, lambda x: keras.layers.LSTM(UNITS)(x)))
    weights = 4 * (WIDTH + UNITS) * 4 * UNITS
    assert step.kept.fixed < weights


def test_attention_over_tokens_with_an_output_for_each_of_them_is_counted(keras) -> None:
    layers = keras.layers

    def body(x):
        x = layers.MultiHeadAttention(4, WIDTH // 4)(x, x, use_causal_mask=True)
        return layers.Dense(WORDS, dtype="float32")(x)

    got, step = flops(keras, embedded(keras, body))
    assert got == 4 * 2 * LENGTH * WIDTH**2 + 2 * 2 * LENGTH**2 * WIDTH + 2 * LENGTH * WIDTH * WORDS
    assert step == 3 * got


def test_an_input_without_a_fixed_size_cannot_be_counted(keras) -> None:
    def build():
        tokens = keras.Input((None,), dtype="int32", name="tokens")
        return keras.Model(tokens, keras.layers.LSTM(4)(keras.layers.Embedding(10, 4)(tokens)))

    with pytest.raises(ValueError, match=r"the input tokens has no fixed size: \[None\]"):
        counting.profile(build)


def test_a_model_inside_a_model_counts_like_its_layers(keras) -> None:
    layers = keras.layers

    def body():
        inputs = keras.Input((16, 16, 3))
        x = layers.Conv2D(8, 3, activation="relu")(inputs)
        return keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.BatchNormalization()(x)))

    inner, inputs = body(), keras.Input((16, 16, 3))
    flat = keras.Model(inner.inputs, layers.Dense(5)(inner.outputs[0]))
    nested = keras.Model(inputs, layers.Dense(5)(inner(inputs)))
    assert flops(keras, nested) == flops(keras, flat)


def test_a_network_of_keras_applications_is_counted_too(keras) -> None:
    build = lambda: keras.applications.MobileNetV2(weights=None, input_shape=(96, 96, 3), alpha=0.35)  # noqa: E731
    profile = counting.profile(build)
    kinds = {kernel.kind for kernel in profile.step("float32").fused}
    assert {"conv", "depthwise", "matmul", "memory"} <= kinds
    # keras.io/api/applications: 1.7 million parameters; Sandler et al., 2018: 11 million multiply-adds at 96 px.
    assert profile.parameters == pytest.approx(1.68e6, rel=0.02)
    assert profile.step("float32").forward_flops.each == pytest.approx(2 * 11e6, rel=0.1)


def test_only_windows_of_3_and_more_with_stride_1_can_take_winograds_way(keras) -> None:
    model = resnet.build(resnet.Settings(depth=18), (64, 64, 3), 10)
    counts = dict.fromkeys(("winograd", "conv"), 0.0)
    for kernel in counting.traced_step(model).fused:
        if kernel.kind in counts:
            counts[kernel.kind] += kernel.count
    # 13 of 16 3 x 3 convolutions have stride 1, each with two gradients; the stem's has one.
    assert counts == {"winograd": 3 * 13, "conv": 3 * 6 + 2}


def test_sizes_are_linear_in_the_batch(tutorial: Profile) -> None:
    step = tutorial.step("float32")
    assert step.flops.fixed == 0
    assert math.isclose(step.peak.at(64) - step.peak.at(32), 32 * step.peak.each)


@pytest.mark.parametrize("step", ["prepare", "train", "evaluate", "export"])
def test_no_step_stands_on_the_profile(step: str) -> None:
    assert not [name for name in sources.digests(step) if name.startswith("components/profile/")]
