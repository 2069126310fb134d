"""Training: images and labels, with augmentation."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from components.core.examples import PreparedData
from components.tasks import _images
from components.tasks._classifier.training import ClassifierTraining
from components.tasks.image_classification import Info

# Fractions of the image's side.
SHIFT, CROP = 0.1, 0.125


class Training(ClassifierTraining[Info]):
    def arguments(self, model: Any, data: PreparedData) -> dict[str, Any]:
        return _images.arguments(data)

    def input_fn(self, assets: dict[str, Any]) -> Callable[[Any], tuple[Any, Any]]:
        return lambda batch: (batch["image"], batch["label"])

    def augment(
        self, inputs: tf.Tensor, targets: tf.Tensor, kinds: tuple[str, ...], seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """``flip`` (left-right), ``shift`` (up to a tenth of the side) and ``crop`` (up to an eighth of the side cut
        away, resized back).

        All three are one affine map of coordinates, so an image is resampled once.

        Args:
            inputs: uint8 [batch, height, width, channels].
            targets: labels, which stay.
            kinds: which changes.
            seed: two integers.

        Returns:
            uint8 [batch, height, width, channels], where the edge is repeated into what a shift leaves empty.
        """
        batch, height, width = tf.shape(inputs)[0], inputs.shape[1], inputs.shape[2]

        def uniform(number: int, low: float, high: float) -> tf.Tensor:
            own_seed = seed * tf.constant([1, 8], seed.dtype) + tf.constant([0, number], seed.dtype)
            return tf.random.stateless_uniform([batch], own_seed, low, high)

        scale, mirror = tf.ones([batch]), tf.ones([batch])
        down, right = tf.zeros([batch]), tf.zeros([batch])
        if "crop" in kinds:
            scale = 1 - uniform(1, 0.0, CROP)
            free = (1 - scale) / 2  # how far the window may move from the middle
            down, right = free * uniform(2, -1.0, 1.0) * height, free * uniform(3, -1.0, 1.0) * width
        if "shift" in kinds:
            # Whole pixels: no blur.
            down += tf.round(uniform(4, -SHIFT, SHIFT) * height)
            right += tf.round(uniform(5, -SHIFT, SHIFT) * width)
        if "flip" in kinds:
            mirror = tf.where(uniform(6, -1.0, 1.0) < 0, -1.0, 1.0)
        # Where an output pixel comes from: x' = a x + c, y' = b y + d, both about the image's middle.
        middle_x, middle_y, none = (width - 1) / 2, (height - 1) / 2, tf.zeros([batch])
        rows = [mirror * scale, none, middle_x * (1 - mirror * scale) + right]
        rows += [none, scale, middle_y * (1 - scale) + down, none, none]
        moved = tf.raw_ops.ImageProjectiveTransformV3(
            images=inputs,
            transforms=tf.stack(rows, 1),
            output_shape=[height, width],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="NEAREST",
        )
        return moved, targets
