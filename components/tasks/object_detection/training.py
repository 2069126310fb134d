"""Training: images and their objects."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from components.core.examples import PreparedData
from components.layers.detection_loss import DetectionLoss
from components.layers.prior_boxes import PriorBoxes
from components.tasks import _images, contract
from components.tasks.object_detection import Info


class Training(contract.Training[Info]):
    def arguments(self, model: Any, data: PreparedData) -> dict[str, Any]:
        return _images.arguments(data)

    def input_fn(self, assets: dict[str, Any]) -> Callable[[Any], tuple[Any, Any]]:
        """Targets are objects, float32 [batch, most_boxes, 5]: edges and label."""

        def inputs_and_targets(batch: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            labels = tf.cast(batch["labels"], tf.float32)
            return batch["image"], tf.concat([batch["boxes"], labels[..., None]], axis=-1)

        return inputs_and_targets

    def compile_arguments(self, network: keras.Model) -> dict[str, Any]:
        """The loss alone: COCO's metrics are of all images together."""
        boxes = next(layer for layer in network.layers if isinstance(layer, PriorBoxes))
        return {"loss": DetectionLoss(boxes.locations()), "metrics": []}

    def augment(
        self, inputs: tf.Tensor, targets: tf.Tensor, kinds: tuple[str, ...], seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """``flip``: images with their objects, each flipped left-right or not.

        Args:
            inputs: uint8 [batch, height, width, channels].
            targets: objects, float32 [batch, most_boxes, 5].
            kinds: which changes.
            seed: two integers.
        """
        if "flip" not in kinds:
            return inputs, targets
        flipped = tf.random.stateless_uniform([tf.shape(inputs)[0]], seed) < 0.5
        left, top, right, bottom, label = tf.unstack(targets, axis=-1)
        # Padding stays where it is: all its edges are 0.
        present = tf.cast(label >= 0, targets.dtype)
        mirrored = tf.stack([(1 - right) * present, top, (1 - left) * present, bottom, label], axis=-1)
        images = tf.where(flipped[:, None, None, None], inputs[:, :, ::-1], inputs)
        return images, tf.where(flipped[:, None, None], mirrored, targets)
