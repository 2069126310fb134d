"""Image classification: one label for one picture."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from components.core.config import Positive
from components.tasks import EvaluationSettings

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf

# The metrics that ``require`` and ``require_slices`` may name, and which way is better.
METRICS = {
    "accuracy": "max",
    "top_k": "max",
    "macro_f1": "max",
    "roc_auc": "max",
    "loss": "min",
    "calibration_error": "min",
}
# Augmentation: fractions of the picture's side.
SHIFT, CROP = 0.1, 0.125
# Compared example by example between champion and challenger.
PAIRED_METRIC = "accuracy"


class Settings(EvaluationSettings):
    """How to judge a classifier.

    Attributes:
        top_k: how many of the best labels count for top-k accuracy and are predicted.
        abstain_below: predict no label where the best probability is lower.
    """

    top_k: Positive = 5
    abstain_below: Annotated[float, Field(ge=0, le=1)] = 0.0


# --- examples: what prepare writes and every step reads --------------------------------------------------------------


def features(info: dict[str, Any]) -> dict[str, Any]:
    """The TFDS features of an example: ``image``, ``label`` and ``key``, plus the recorded attributes."""
    raise NotImplementedError


def problem(example: dict[str, Any], info: dict[str, Any]) -> str:
    """What is wrong with an example (undecodable, wrong shape or dtype, label outside the classes), or ""."""
    raise NotImplementedError


def parse(records: "tf.Tensor", info: dict[str, Any]) -> "dict[str, tf.Tensor]":
    """Serialized examples, shape [batch], as tensors: image uint8 [batch, height, width, channels], label int64 [batch],
    key string [batch], brightness float32 [batch]."""
    raise NotImplementedError


# --- training --------------------------------------------------------------------------------------------------------


def units(info: dict[str, Any]) -> int:
    """How many outputs a model has: one logit a class."""
    return len(info["classes"])


def inputs_and_targets(batch: "dict[str, tf.Tensor]") -> "tuple[tf.Tensor, tf.Tensor]":
    """What ``model.fit`` takes of a parsed batch."""
    return batch["image"], batch["label"]


def compile_arguments() -> dict[str, Any]:
    """Loss and metrics for ``model.compile``, fresh objects at each call."""
    import keras

    return {"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "metrics": ["accuracy"]}


def augmented(images: "tf.Tensor", kinds: tuple[str, ...], seed: "tf.Tensor") -> "tf.Tensor":
    """A batch of pictures, each changed at random: flip (left-right), shift (up to a tenth of the side), crop (up to
    an eighth of the side cut away, resized back).

    All three are one affine map of coordinates, so a picture is resampled once.

    Args:
        images: uint8 [batch, height, width, channels].
        kinds: which changes.
        seed: two integers; the same ones make the same changes.

    Returns:
        uint8 [batch, height, width, channels]; what a shift leaves empty repeats the edge.
    """
    import tensorflow as tf

    batch, height, width = tf.shape(images)[0], images.shape[1], images.shape[2]

    def chance(number: int, low: float, high: float) -> "tf.Tensor":
        one = seed * tf.constant([1, 8], seed.dtype) + tf.constant([0, number], seed.dtype)
        return tf.random.stateless_uniform([batch], one, low, high)

    scale, mirror = tf.ones([batch]), tf.ones([batch])
    down, right = tf.zeros([batch]), tf.zeros([batch])
    if "crop" in kinds:
        scale = 1 - chance(1, 0.0, CROP)
        free = (1 - scale) / 2  # how far the window may move from the middle
        down, right = free * chance(2, -1.0, 1.0) * height, free * chance(3, -1.0, 1.0) * width
    if "shift" in kinds:
        # Whole pixels: no blur.
        down += tf.round(chance(4, -SHIFT, SHIFT) * height)
        right += tf.round(chance(5, -SHIFT, SHIFT) * width)
    if "flip" in kinds:
        mirror = tf.where(chance(6, -1.0, 1.0) < 0, -1.0, 1.0)
    # Where an output pixel comes from: x' = a x + c, y' = b y + d, both about the picture's middle.
    middle_x, middle_y, none = (width - 1) / 2, (height - 1) / 2, tf.zeros([batch])
    rows = [mirror * scale, none, middle_x * (1 - mirror * scale) + right]
    rows += [none, scale, middle_y * (1 - scale) + down, none, none]
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack(rows, 1),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )


# --- judging ---------------------------------------------------------------------------------------------------------


def score(
    outputs: "np.ndarray", batch: "dict[str, np.ndarray]", settings: Settings, info: dict[str, Any]
) -> dict[str, float]:
    """The metrics in METRICS, and per-class ones, from logits [n, classes] and the examples' arrays."""
    raise NotImplementedError


def correct(outputs: "np.ndarray", batch: "dict[str, np.ndarray]") -> "np.ndarray":
    """The paired metric of every example, float64 [n]: 1 where the best label is the true one."""
    raise NotImplementedError


def slices(batch: "dict[str, np.ndarray]", info: dict[str, Any]) -> "dict[str, np.ndarray]":
    """Slice name -> boolean mask [n]: by class and by every recorded attribute, such as brightness quartile."""
    raise NotImplementedError


def predictions(outputs: "np.ndarray", settings: Settings, info: dict[str, Any]) -> list[dict[str, Any]]:
    """Post-processing, the same for evaluation and for prediction: softmax, the top-k labels with probabilities, and
    ``label`` None below the abstain threshold."""
    raise NotImplementedError


def read_inputs(path: str, info: dict[str, Any]) -> "list[tuple[str, np.ndarray]]":
    """Name and uint8 array [height, width, channels] of every picture in an image file, a folder or a .npy file."""
    raise NotImplementedError
