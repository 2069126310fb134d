"""Residual networks: the sizes and details that their papers and torchvision state."""

import math

import pytest

from components.models import resnet


# Parameters with 1000 classes that are trained, as torchvision states them for its residual networks.
@pytest.mark.parametrize(("depth", "parameters"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)])
def test_residual_networks_have_the_published_number_of_parameters(depth: int, parameters: int) -> None:
    model = resnet.build(resnet.Settings(depth=depth), (224, 224, 3), 1000)
    assert sum(math.prod(weight.shape) for weight in model.trainable_weights) == parameters


@pytest.mark.parametrize("depth", resnet.SIZES)
def test_a_residual_network_is_as_deep_as_its_name_says(depth: int) -> None:
    block, stages = resnet.SIZES[depth]
    convolutions = {"basic": 2, "bottleneck": 3}[block]
    assert 1 + convolutions * sum(stages) + 1 == depth


def test_the_bottleneck_halves_the_picture_in_its_3x3_convolution() -> None:
    model = resnet.build(resnet.Settings(depth=50), (64, 64, 3), 2)
    strides = [model.get_layer(f"stage2_block1_{number}_conv").strides for number in (1, 2, 3)]
    assert strides == [(1, 1), (2, 2), (1, 1)]


@pytest.mark.parametrize(("side", "stem", "kept"), [(32, "auto", 32), (64, "auto", 16), (32, "large", 8)])
def test_a_small_stem_keeps_the_resolution_of_small_pictures(side: int, stem: str, kept: int) -> None:
    model = resnet.build(resnet.Settings(depth=18, stem=stem), (side, side, 3), 2)
    assert model.get_layer("stage1_block1_1_conv").input.shape[1:3] == (kept, kept)


def test_every_block_starts_as_the_identity_if_asked() -> None:
    scales = {
        zero: resnet.build(resnet.Settings(depth=18, zero_gamma=zero), (8, 8, 1), 2)
        .get_layer("stage1_block1_2_norm")
        .gamma.numpy()
        .max()
        for zero in (True, False)
    }
    assert scales == {True: 0, False: 1}
