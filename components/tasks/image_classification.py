"""Image classification: one label for one picture."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from components.core.config import Positive
from components.tasks import EvaluationSettings

if TYPE_CHECKING:
    import numpy as np
    import tensorflow as tf
    from markupsafe import Markup

    from components.core.classification import Judged, Resampled
    from components.core.examples import Stored

# The metrics that ``require`` may name, and which way is better.
METRICS: dict[str, Literal["max", "min"]] = {
    "accuracy": "max",
    "top_k": "max",
    "macro_f1": "max",
    "roc_auc": "max",
    "loss": "min",
    "calibration_error": "min",
}
# Those that ``require_slices`` may name: means over examples, which a slice of one class has too.
SLICE_METRICS = ("accuracy", "top_k", "loss")
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

    metrics = METRICS
    slice_metrics = SLICE_METRICS
    shares = frozenset(METRICS) - {"loss"}

    top_k: Positive = 5
    abstain_below: Annotated[float, Field(ge=0, le=1)] = 0.0


# --- examples: what prepare writes and every step reads --------------------------------------------------------------

# The features in the order of writing: the content, of which the key is made, the key, and those that ``stored`` gives.
KINDS: dict[str, type] = {"image": bytes, "key": bytes, "label": int, "brightness": float}


def features(info: dict[str, Any]) -> dict[str, Any]:
    """The TFDS features of an example: ``image``, ``label`` and ``key``, plus the recorded attributes."""
    import numpy as np
    from tensorflow_datasets import features as kinds

    shape = tuple(info["image_shape"])
    if info["encoding"] == "raw":
        image = kinds.Tensor(shape=shape, dtype=np.uint8, encoding="bytes")
    else:
        image = kinds.Image(shape=(None, None, shape[-1]))
    return {
        "image": image,
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
    light, faults = (np.empty(0), _array_faults(images, info)) if raw else _files_checked(images, info)
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


def _array_faults(images: "list[np.ndarray]", info: dict[str, Any]) -> dict[int, str]:
    """Position -> what is wrong with an array."""
    import numpy as np

    shape, kind = tuple(info["image_shape"]), np.dtype(np.uint8)
    wrong = [place for place, image in enumerate(images) if image.shape != shape or image.dtype != kind]
    found = ((place, images[place]) for place in wrong)
    return {
        place: f"the picture is {image.dtype} {list(image.shape)}, not uint8 {list(shape)}" for place, image in found
    }


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


def pixels(image: bytes, info: dict[str, Any]) -> "np.ndarray":
    """A stored picture at its own size, uint8 [height, width, channels].

    Raises:
        ValueError: it cannot be decoded.
    """
    import numpy as np

    from components.core import pictures

    shape = info["image_shape"]
    if info["encoding"] == "raw":
        return np.frombuffer(image, np.uint8).reshape(shape)
    try:
        return pictures.decoded(image, shape[-1])
    except ValueError as error:
        raise ValueError(f"cannot be read as a picture: {error}") from None


def parse(records: "tf.Tensor", info: dict[str, Any]) -> "dict[str, tf.Tensor]":
    """Serialized examples, shape [batch], as tensors: image uint8 [batch, height, width, channels], label int64
    [batch], key string [batch], brightness float32 [batch]."""
    import tensorflow as tf

    kinds = {"image": tf.string, "label": tf.int64, "key": tf.string, "brightness": tf.float32}
    batch: dict[str, tf.Tensor] = tf.io.parse_example(
        records, {name: tf.io.FixedLenFeature([], kind) for name, kind in kinds.items()}
    )
    height, width, channels = info["image_shape"]
    if info["encoding"] == "raw":
        image = tf.io.decode_raw(batch["image"], tf.uint8, fixed_length=height * width * channels)
        return batch | {"image": tf.reshape(image, [-1, height, width, channels])}

    def decoded(data: "tf.Tensor") -> "tf.Tensor":
        # It reads PNG, too. The accurate transform is Pillow's, so that prediction sees the very same pixels.
        image = tf.io.decode_jpeg(data, channels=channels, dct_method="INTEGER_ACCURATE")
        image.set_shape([None, None, channels])
        resized = tf.image.resize(image, [height, width])
        return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)

    spec = tf.TensorSpec([height, width, channels], tf.uint8)
    return batch | {"image": tf.map_fn(decoded, batch["image"], fn_output_signature=spec)}


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


def served(outputs: "tf.Tensor") -> "dict[str, tf.Tensor]":
    """What an exported model's serving signature answers beside its outputs: probabilities, float32 [n, classes]."""
    import tensorflow as tf

    return {"probabilities": tf.nn.softmax(outputs)}


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


def _judged(outputs: "np.ndarray", batch: "dict[str, np.ndarray]", settings: Settings) -> "Judged":
    from components.core.classification import Judged

    return Judged(outputs, batch["label"], min(settings.top_k, outputs.shape[1]))


def score(
    outputs: "np.ndarray", batch: "dict[str, np.ndarray]", settings: Settings, info: dict[str, Any]
) -> dict[str, float]:
    """The metrics in METRICS with averages over classes, from logits [n, classes] and the examples' arrays.

    With ``abstain_below``, also the share of examples that get a label, ``answered``, and the accuracy on those.
    """
    from components.core import classification

    judged = _judged(outputs, batch, settings)
    found = classification.scores(judged)
    if settings.abstain_below:
        answered = classification.probabilities(outputs).max(axis=1) >= settings.abstain_below
        found["answered"] = float(answered.mean())
        if answered.any():
            found["answered_accuracy"] = float(judged.right[answered].mean())
    return found


def resampled(
    outputs: "np.ndarray", batch: "dict[str, np.ndarray]", settings: Settings, found: dict[str, float]
) -> "Resampled":
    """95% bootstrap intervals of what ``score`` found; ``metrics`` maps a metric to its interval."""
    from components.core import classification

    return classification.resampled(_judged(outputs, batch, settings), found, settings.resamples, settings.seed)


def example_values(
    outputs: "np.ndarray", batch: "dict[str, np.ndarray]", settings: Settings
) -> "dict[str, np.ndarray]":
    """The metrics in SLICE_METRICS, example by example: metric -> float64 [n]."""
    return _judged(outputs, batch, settings).values()


def correct(outputs: "np.ndarray", batch: "dict[str, np.ndarray]") -> "np.ndarray":
    """The paired metric of every example, float64 [n]: 1 where the best label is the true one."""
    import numpy as np

    return np.asarray(outputs.argmax(axis=1) == batch["label"], np.float64)


def slices(batch: "dict[str, np.ndarray]", info: dict[str, Any]) -> "dict[str, np.ndarray]":
    """Slice name -> boolean mask [n]: by class and by every recorded attribute, such as brightness quartile.

    Attributes are the arrays of one number an example other than the label; the quartiles are the test split's own.
    """
    import numpy as np

    found = {f"class {name}": batch["label"] == label for label, name in enumerate(info["classes"])}
    for attribute in sorted(set(batch) - {"image", "label", "key"}):
        values = batch[attribute]
        if values.ndim != 1 or not np.issubdtype(values.dtype, np.number) or values.min() == values.max():
            continue
        quartile = np.searchsorted(np.quantile(values, [0.25, 0.5, 0.75]), values, side="left")
        for number, which in enumerate(("lowest", "lower middle", "upper middle", "highest")):
            found[f"{attribute} {which} quarter"] = quartile == number
    return {name: mask for name, mask in found.items() if mask.any()}


def mistaken(outputs: "np.ndarray", batch: "dict[str, np.ndarray]") -> "np.ndarray":
    """How sure the model is of a wrong label, float64 [n]: its probability, 0 where the label is right."""
    import numpy as np

    from components.core import classification

    return np.where(correct(outputs, batch), 0.0, classification.probabilities(outputs).max(axis=1))


def confusion(outputs: "np.ndarray", batch: "dict[str, np.ndarray]", settings: Settings) -> "np.ndarray":
    """How often each class (row) was given each label (column), integers [classes, classes]."""
    from components.core import classification

    return classification.confusion(_judged(outputs, batch, settings))


def roc_points(
    outputs: "np.ndarray", batch: "dict[str, np.ndarray]", settings: Settings
) -> tuple[list[float], list[float], list[float]]:
    """A ROC curve over all classes together: false positive rates, true positive rates, falling thresholds."""
    from components.core import classification

    return classification.roc_points(_judged(outputs, batch, settings))


def figures(
    outputs: "np.ndarray",
    batch: "dict[str, np.ndarray]",
    settings: Settings,
    info: dict[str, Any],
    intervals: "Resampled",
    mistakes: "list[tuple[int, np.ndarray]]",
) -> "list[Markup]":
    """The report's sections of this task.

    Args:
        intervals: what ``resampled`` gave.
        mistakes: number and picture of the examples to show, the most confident mistake first.
    """
    from components.core import classification_figures, reports

    names = info["classes"]
    parts = classification_figures.parts(_judged(outputs, batch, settings), names, intervals)
    if not mistakes:
        return parts
    said = predictions(outputs[[index for index, _ in mistakes]], settings.model_copy(update={"top_k": 1}), info)
    captions = [
        f"{names[batch['label'][index]]}, taken for {one['top'][0]['label']} ({one['top'][0]['probability']:.3f})"
        for (index, _), one in zip(mistakes, said, strict=True)
    ]
    pictures = [(pixels, caption) for (_, pixels), caption in zip(mistakes, captions, strict=True)]
    return [*parts, reports.section("Most confident mistakes", reports.gallery(pictures))]


def predictions(outputs: "np.ndarray", settings: Settings, info: dict[str, Any]) -> list[dict[str, Any]]:
    """Post-processing, the same for evaluation and for prediction: softmax, the top-k labels with probabilities, and
    ``label`` None below the abstain threshold.

    Args:
        outputs: logits [n, classes].

    Returns:
        For each example ``label``, its ``probability`` (of the best label, given or withheld), and ``top``: the
        ``top_k`` best labels with their probabilities, best first.
    """
    import numpy as np

    from components.core import classification

    names, chances = info["classes"], classification.probabilities(outputs)
    best = classification.ranked(outputs, min(settings.top_k, outputs.shape[1]))
    found = []
    for labels, values in zip(best.tolist(), np.take_along_axis(chances, best, axis=1).tolist(), strict=True):
        top = [{"label": names[label], "probability": value} for label, value in zip(labels, values, strict=True)]
        label = top[0]["label"] if values[0] >= settings.abstain_below else None
        found.append({"label": label, "probability": values[0], "top": top})
    return found


def read_inputs(path: str, info: dict[str, Any]) -> "list[tuple[str, np.ndarray]]":
    """Name and uint8 array [height, width, channels] of every picture in an image file, a folder or a .npy file.

    Raises:
        StepError: one of them cannot be read.
    """
    from components.core import pictures

    height, width, channels = info["image_shape"]
    return pictures.read(path, (height, width, channels))
