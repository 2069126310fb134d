"""Image classification: one label for one picture."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from components.tasks import _classifier, _pictures

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from markupsafe import Markup

    from components.core.examples import Stored
    from components.tasks._tfds import Reading
    from components.tasks.image_classification.summary import Pictures

INTERFACE = "image -> classes"
CONTENT = "image"
AUGMENTATIONS = ("flip", "shift", "crop")
# Fractions of the picture's side.
SHIFT, CROP = 0.1, 0.125
EXACT = _classifier.EXACT
METRICS, SLICE_METRICS, PAIRED_METRIC = _classifier.METRICS, _classifier.SLICE_METRICS, _classifier.PAIRED_METRIC


class Settings(_classifier.ClassifierSettings):
    """How to judge a classifier of pictures: ``components.tasks._classifier.ClassifierSettings``."""


# --- examples: what prepare writes and every step reads --------------------------------------------------------------

# The features in the order of writing: the content, of which the key is made, the key, and those that ``stored`` gives.
KINDS: dict[str, type] = {"image": bytes, "key": bytes, "label": int, "brightness": float}


def features(info: dict[str, Any]) -> dict[str, Any]:
    """The TFDS features of an example: ``image``, ``label`` and ``key``, plus the recorded attributes."""
    import numpy as np
    from tensorflow_datasets import features as kinds

    return {
        "image": _pictures.feature(info),
        "label": kinds.ClassLabel(names=info["classes"]),
        "key": kinds.Text(),
        "brightness": kinds.Scalar(np.float32),
    }


def stored(examples: list[dict[str, Any]], info: dict[str, Any]) -> "Stored":
    """Examples as they are written, and what is wrong with the others: undecodable, wrong shape or dtype, label outside
    the classes.

    Args:
        examples: each with ``image``, a uint8 array or the bytes of a JPEG or PNG file, and ``label``.
    """
    import numpy as np

    from components.core.examples import Stored

    images: Any = [example["image"] for example in examples]
    labels = np.array([example["label"] for example in examples], np.int64)
    raw = info["encoding"] == "raw"
    light, faults = (np.empty(0), _pictures.array_faults(images, info)) if raw else _files_checked(images, info)
    last = len(info["classes"]) - 1
    for place in np.flatnonzero((labels < 0) | (labels > last)).tolist():
        faults[place] = f"label {labels[place]} is outside 0..{last}"
    if faults:
        good = [place for place in range(len(images)) if place not in faults]
        images, labels = [images[place] for place in good], labels[good]
        light = light[good] if light.size else light
    if raw and images:
        # All at once: several times faster than one after the other.
        images = np.concatenate(images).reshape(len(images), -1)
        light = images.sum(axis=1, dtype=np.uint64) / (255 * images.shape[1])
    return Stored(images, {"label": labels, "brightness": light.astype(np.float32)}, dict(sorted(faults.items())))


def profile(info: dict[str, Any]) -> "Pictures":
    """What prepare's report tells: classes, brightness, sizes, and pictures of each class."""
    from components.tasks.image_classification.summary import Pictures

    return Pictures(info["classes"], lambda image: pixels(image, info))


def from_tfds(features: Any, settings: Any) -> "Reading":
    """Pictures and classes of a data set with the features ``image`` and ``label``.

    Raises:
        ValueError: it has others.
        StepError: ``image_shape`` is not set.
    """
    import tensorflow_datasets as tfds

    from components.tasks._tfds import Reading

    shape = _pictures.shape_of(settings)
    if not {"image", "label"} <= set(features) or not isinstance(features["label"], tfds.features.ClassLabel):
        raise ValueError(f"has {', '.join(features)}, where image and label (a class) were expected")
    raw = list(features["image"].shape) == shape
    if not raw and not isinstance(features["image"], tfds.features.Image):
        raise ValueError(f"has arrays of {list(features['image'].shape)}, not {shape}")
    info = {"classes": list(features["label"].names), "image_shape": shape, "encoding": "raw" if raw else "encoded"}
    return Reading(
        info, lambda one: {"image": one["image"], "label": int(one["label"])}, undecoded=() if raw else ("image",)
    )


pixels = _pictures.pixels


def _files_checked(images: list[bytes], info: dict[str, Any]) -> "tuple[np.ndarray, dict[int, str]]":
    """The brightness of each file's picture, 0..1, and position -> what is wrong with a file."""
    import numpy as np

    light, faults = np.zeros(len(images)), {}
    for place, image in enumerate(images):
        try:
            light[place] = pixels(image, info).mean() / 255
        except ValueError as error:
            faults[place] = str(error)
    return light, faults


def parse(records: "tf.Tensor", info: dict[str, Any]) -> "dict[str, tf.Tensor]":
    """Serialized examples, shape [batch], as tensors: image uint8 [batch, height, width, channels], label int64
    [batch], key string [batch], brightness float32 [batch]."""
    from components.core.examples import parsed

    batch = parsed(records, KINDS)
    return batch | {"image": _pictures.parsed(batch["image"], info)}


# --- training --------------------------------------------------------------------------------------------------------


expected, arguments, assets, encoded = (
    _pictures.expected,
    _pictures.arguments,
    _pictures.assets,
    _pictures.encoded,
)


def feeding(assets: dict[str, Any], info: dict[str, Any]) -> "Callable[[Any], tuple[Any, Any]]":
    """Picture and label of a parsed batch."""
    return lambda batch: (batch["image"], batch["label"])


def problem(network: "keras.Model", info: dict[str, Any]) -> str:
    """Why a network cannot take these pictures, or an empty string."""
    return _pictures.other_shape(network, info) or _classifier.other_units(network, info)


compile_arguments = _classifier.compile_arguments


def served(
    network: "keras.Model", assets: dict[str, Any], info: dict[str, Any]
) -> "tuple[tf.TensorSpec, Callable[[tf.Tensor], dict[str, tf.Tensor]]]":
    """A SavedModel takes pictures as the network does, and answers with logits and probabilities."""
    import tensorflow as tf

    taken = network.inputs[0]
    signature = tf.TensorSpec(taken.shape, taken.dtype, name=taken.name)
    return _classifier.with_probabilities(signature, lambda images: network(images, training=False))


def augmented(
    images: "tf.Tensor", labels: "tf.Tensor", kinds: tuple[str, ...], seed: "tf.Tensor"
) -> "tuple[tf.Tensor, tf.Tensor]":
    """A batch of pictures, each changed at random: flip (left-right), shift (up to a tenth of the side), crop (up to
    an eighth of the side cut away, resized back).

    All three are one affine map of coordinates, so a picture is resampled once.

    Args:
        images: uint8 [batch, height, width, channels].
        kinds: which changes.
        seed: two integers; the same ones make the same changes.

    Returns:
        uint8 [batch, height, width, channels], where what a shift leaves empty repeats the edge, and the same labels.
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
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack(rows, 1),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    return moved, labels


# --- judging ---------------------------------------------------------------------------------------------------------


answers, truth = _classifier.answers_to(CONTENT, encoded), _classifier.truth_beside(CONTENT)
score, resampled, example_values = _classifier.score, _classifier.resampled, _classifier.example_values
paired, slices, notable = _classifier.paired, _classifier.slices, _classifier.notable
class_figures, predictions, row = _classifier.class_figures, _classifier.predictions, _classifier.row


def _gallery(pairs: "list[tuple[np.ndarray, str]]") -> "Markup":
    from components.core import reports

    return reports.gallery(pairs)


figures = _classifier.figures_with(_gallery)


# --- export and prediction -------------------------------------------------------------------------------------------


read_inputs, described, limits = _pictures.read_inputs, _pictures.described, _classifier.limits
