"""Object detection: boxes about the objects of a picture, each with a class."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from components.tasks import EvaluationSettings, _pictures

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf
    from markupsafe import Markup

    from components.core.examples import Stored
    from components.core.inference import Predictor
    from components.metrics.detection import Judged, Resampled
    from components.tasks._tfds import Reading
    from components.tasks.object_detection.summary import BoxProfile

INTERFACE = "image -> boxes"
CONTENT = "image"
AUGMENTATIONS = ("flip",)
METRICS: dict[str, Literal["max", "min"]] = {
    "map": "max",
    "map50": "max",
    "map75": "max",
    "map_small": "max",
    "map_medium": "max",
    "map_large": "max",
    "ar": "max",
    "f1": "max",
    "precision": "max",
    "recall": "max",
}
# Mean average precision is no mean over pictures; F1 of each picture is.
SLICE_METRICS = ("f1",)
# Right and wrong boxes of one picture against its objects, at the score from which boxes are shown: what a user of the
# pictures sees, and defined without objects, too. Average precision ranks the boxes of all pictures together.
PAIRED_METRIC = "f1"
WORST, BEST = "Pictures with most mistakes", "Pictures found in full"
# More objects in one picture are a fault of the data; COCO's pictures have 93 at most.
MOST_BOXES = 100
# A box may stand out of its picture by so much of a side, which is cut off: rounding, as in COCO's own annotations.
ROUNDING = 0.005


class Settings(EvaluationSettings):
    """How to judge a detector.

    Attributes:
        confidence: boxes that score less are not shown to people, nor counted in ``f1``, ``precision`` and ``recall``;
            average precision and recall (``map``, ``ar``) look at all scores.
    """

    metrics = METRICS
    slice_metrics = SLICE_METRICS
    shares = frozenset(METRICS)

    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.4


# --- examples: what prepare writes and every step reads --------------------------------------------------------------

# Boxes are four float32 each (left, top, right, bottom as fractions of the sides), labels int64, as raw little-endian
# bytes; ``count`` of them, for a picture may have none. Height and width are the picture's own, in pixels.
KINDS: dict[str, type] = {
    "image": bytes,
    "key": bytes,
    "boxes": bytes,
    "labels": bytes,
    "count": int,
    "height": int,
    "width": int,
}


def features(info: dict[str, Any]) -> dict[str, Any]:
    """The TFDS features of an example."""
    import numpy as np
    from tensorflow_datasets import features as kinds

    return {
        "image": _pictures.feature(info),
        "key": kinds.Text(),
        "boxes": kinds.Tensor(shape=(None, 4), dtype=np.float32, encoding="bytes"),
        "labels": kinds.Tensor(shape=(None,), dtype=np.int64, encoding="bytes"),
        "count": kinds.Scalar(np.int64),
        "height": kinds.Scalar(np.int64),
        "width": kinds.Scalar(np.int64),
    }


def stored(examples: list[dict[str, Any]], info: dict[str, Any]) -> "Stored":
    """Examples as they are written, and what is wrong with the others: undecodable pictures, boxes that lie outside or
    have no area, labels outside the classes.

    Args:
        examples: each with ``image``, a uint8 array or the bytes of a JPEG or PNG file; ``boxes`` [objects, 4] as
            fractions of the sides; ``labels`` [objects]; or ``fault``, what the source found wrong with it.
    """
    import numpy as np

    from components.core.examples import Stored

    raw = info["encoding"] == "raw"
    faults = {place: example["fault"] for place, example in enumerate(examples) if example.get("fault")}
    if raw:
        whole = [place for place in range(len(examples)) if place not in faults]
        wrong = _pictures.array_faults([examples[place]["image"] for place in whole], info)
        faults |= {whole[place]: fault for place, fault in wrong.items()}
    contents, rows = [], []
    for place, example in enumerate(examples):
        if place in faults:
            continue
        try:
            shape = example["image"].shape if raw else _pictures.pixels(example["image"], info).shape
            boxes, labels = _checked(example, shape, info)
        except ValueError as error:
            faults[place] = str(error)
            continue
        contents.append(example["image"].tobytes() if raw else example["image"])
        rows.append((boxes.astype("<f4").tobytes(), labels.astype("<i8").tobytes(), len(labels), *shape[:2]))
    columns: list[Any] = [list(column) for column in zip(*rows, strict=True)] or [[], [], [], [], []]
    numbers = {name: np.array(column, np.int64) for name, column in zip(tuple(KINDS)[4:], columns[2:], strict=True)}
    return Stored(contents, {"boxes": columns[0], "labels": columns[1], **numbers}, dict(sorted(faults.items())))


def _checked(example: dict[str, Any], shape: tuple[int, ...], info: dict[str, Any]) -> "tuple[np.ndarray, np.ndarray]":
    """Boxes [objects, 4] and labels [objects] of an example.

    Raises:
        ValueError: what is wrong with the first bad one.
    """
    import numpy as np

    boxes = np.asarray(example["boxes"], np.float32).reshape(-1, 4)
    labels = np.asarray(example["labels"], np.int64).reshape(-1)
    if len(boxes) != len(labels):
        raise ValueError(f"{len(boxes)} boxes and {len(labels)} labels")
    if len(boxes) > info["most_boxes"]:
        raise ValueError(f"{len(boxes)} objects, at most {info['most_boxes']} were expected")
    last = len(info["classes"]) - 1
    for number, (box, label) in enumerate(zip(boxes, labels.tolist(), strict=True), 1):
        if problem := _problem_of(box, shape) or ("" if 0 <= label <= last else f"label {label} is outside 0..{last}"):
            raise ValueError(f"object {number}: {problem}")
    return np.clip(boxes, 0, 1), labels


def _problem_of(box: "np.ndarray", shape: tuple[int, ...]) -> str:
    """What is wrong with a box, or an empty string; it is told in pixels."""
    import numpy as np

    height, width = shape[:2]
    if not np.isfinite(box).all():
        return "its box has an edge that is no number"
    left, top, right, bottom = (box * [width, height, width, height]).tolist()
    told = f"its box from ({left:g}, {top:g}) to ({right:g}, {bottom:g})"
    if right < left or bottom < top:
        return f"{told} is inverted: left to right and top to bottom were expected"
    if right == left or bottom == top:
        return f"{told} has no area"
    if box.min() < -ROUNDING or box.max() > 1 + ROUNDING:
        return f"{told} lies outside the picture of {width} x {height} pixels"
    return ""


def profile(info: dict[str, Any]) -> "BoxProfile":
    """What prepare's report tells: objects by class, their number and size, and pictures with their boxes."""
    from components.tasks.object_detection.summary import BoxProfile

    return BoxProfile(info["classes"], lambda image: _pictures.pixels(image, info))


def from_tfds(features: Any, settings: Any) -> "Reading":
    """Pictures and boxes of a data set with the features ``image``, ``objects/bbox`` and ``objects/label``, such as
    ``coco/2017`` and ``voc``; boxes about crowds, which COCO neither rewards nor punishes, are left out.

    Raises:
        ValueError: it has others.
        StepError: ``image_shape`` is not set.
    """
    import numpy as np
    import tensorflow_datasets as tfds

    from components.tasks._tfds import Reading

    shape = _pictures.shape_of(settings)
    objects = getattr(features["objects"], "feature", {}) if "objects" in features else {}
    if "image" not in features or not {"bbox", "label"} <= set(objects):
        raise ValueError(f"has {', '.join(features)}, where image, objects/bbox and objects/label were expected")
    if not isinstance(features["image"], tfds.features.Image):
        raise ValueError("has pictures that are no image files")
    names = list(objects["label"].names)

    def convert(one: Mapping[str, Any]) -> dict[str, Any]:
        found = one["objects"]
        crowd = np.asarray(found.get("is_crowd", np.zeros(len(found["label"]), bool)), bool)
        # TFDS has top, left, bottom, right.
        boxes = np.asarray(found["bbox"], np.float32).reshape(-1, 4)[:, [1, 0, 3, 2]]
        return {"image": one["image"], "boxes": boxes[~crowd], "labels": np.asarray(found["label"])[~crowd]}

    info = {"classes": names, "image_shape": shape, "encoding": "encoded", "most_boxes": MOST_BOXES}
    return Reading(info, convert, undecoded=("image",))


def parse(records: "tf.Tensor", info: dict[str, Any]) -> "dict[str, tf.Tensor]":
    """Serialized examples, shape [batch], as tensors: image uint8 [batch, height, width, channels], boxes float32
    [batch, most_boxes, 4] and labels int64 [batch, most_boxes], padded by 0 and NONE; key string, count, height and
    width int64 [batch]."""
    import tensorflow as tf

    from components.core.examples import parsed
    from components.vision.boxes import NONE

    batch = parsed(records, KINDS)
    most = info["most_boxes"]
    boxes = tf.reshape(tf.io.decode_raw(batch["boxes"], tf.float32, fixed_length=16 * most), [-1, most, 4])
    labels = tf.reshape(tf.io.decode_raw(batch["labels"], tf.int64, fixed_length=8 * most), [-1, most])
    there = tf.range(most, dtype=tf.int64)[None] < batch["count"][:, None]
    image = _pictures.parsed(batch["image"], info)
    return batch | {"image": image, "boxes": boxes, "labels": tf.where(there, labels, NONE)}


# --- training --------------------------------------------------------------------------------------------------------

expected, arguments, assets, encoded = (
    _pictures.expected,
    _pictures.arguments,
    _pictures.assets,
    _pictures.encoded,
)


def feeding(assets: dict[str, Any], info: dict[str, Any]) -> "Callable[[Any], tuple[Any, Any]]":
    """Picture and objects, float32 [batch, most_boxes, 5], edges and label, of a parsed batch."""
    import tensorflow as tf

    def fed(batch: "dict[str, tf.Tensor]") -> "tuple[tf.Tensor, tf.Tensor]":
        labels = tf.cast(batch["labels"], tf.float32)
        return batch["image"], tf.concat([batch["boxes"], labels[..., None]], axis=-1)

    return fed


def compile_arguments(network: "keras.Model", info: dict[str, Any]) -> dict[str, Any]:
    """The loss for ``model.compile``, a fresh object at each call; COCO's metrics are of all pictures together."""
    from components.layers.detection_loss import DetectionLoss
    from components.layers.prior_boxes import PriorBoxes

    boxes = next(layer for layer in network.layers if isinstance(layer, PriorBoxes))
    return {"loss": DetectionLoss(boxes.locations()), "metrics": []}


def augmented(
    images: "tf.Tensor", objects: "tf.Tensor", kinds: tuple[str, ...], seed: "tf.Tensor"
) -> "tuple[tf.Tensor, tf.Tensor]":
    """A batch of pictures with their objects, each flipped left-right or not, at random.

    Args:
        images: uint8 [batch, height, width, channels].
        objects: float32 [batch, most_boxes, 5].
        kinds: which changes.
        seed: two integers; the same ones make the same changes.
    """
    import tensorflow as tf

    if "flip" not in kinds:
        return images, objects
    flipped = tf.random.stateless_uniform([tf.shape(images)[0]], seed) < 0.5
    left, top, right, bottom, label = tf.unstack(objects, axis=-1)
    # Padding stays where it is: all its edges are 0.
    there = tf.cast(label >= 0, objects.dtype)
    mirrored = tf.stack([(1 - right) * there, top, (1 - left) * there, bottom, label], axis=-1)
    images = tf.where(flipped[:, None, None, None], images[:, :, ::-1], images)
    return images, tf.where(flipped[:, None, None], mirrored, objects)


def problem(network: "keras.Model", info: dict[str, Any]) -> str:
    """Why a network cannot take these pictures, or an empty string."""
    from components.layers.prior_boxes import PriorBoxes

    if wrong := _pictures.other_shape(network, info):
        return wrong
    if not any(isinstance(layer, PriorBoxes) for layer in network.layers):
        return "has no layer PriorBoxes, which says where its boxes are"
    has, need = network.output_shape[-1], 4 + len(info["classes"])
    return "" if has == need else f"has {has} outputs a location, the data need {need}: 4 edges and a logit a class"


# --- judging ---------------------------------------------------------------------------------------------------------


def answers(
    predictor: "Predictor",
    batch: "dict[str, np.ndarray]",
    settings: Settings,
    info: dict[str, Any],
    assets: dict[str, Any],
) -> "dict[str, np.ndarray]":
    """Boxes after post-processing (``components.vision.boxes.found``), with ``sure``: whether a box is shown."""
    from components.vision import boxes

    result = boxes.found(predictor.run(encoded(batch["image"], assets, info)))
    return result | {"sure": result["scores"] >= settings.confidence}


def truth(batch: "dict[str, np.ndarray]") -> "dict[str, np.ndarray]":
    """Everything but the picture."""
    return {name: values for name, values in batch.items() if name != "image"}


def _judged(found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]", info: dict[str, Any]) -> "Judged":
    from components.metrics.detection import Judged

    return Judged(found, truth, len(info["classes"]))


def score(
    found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]", settings: Settings, info: dict[str, Any]
) -> dict[str, float]:
    """The metrics in METRICS, those of sizes where there are objects of that size."""
    from components.metrics import detection

    return detection.scores(_judged(found, truth, info))


def resampled(
    found: "dict[str, np.ndarray]",
    truth: "dict[str, np.ndarray]",
    settings: Settings,
    scores: dict[str, float],
) -> "Resampled":
    """95% bootstrap intervals of map, map50, ar and f1; ``metrics`` maps a metric to its interval."""
    from components.metrics import detection

    classes = 1 + int(max(found["labels"].max(), truth["labels"].max(), 0))
    return detection.resampled(detection.Judged(found, truth, classes), settings.resamples, settings.seed)


def example_values(
    found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]", settings: Settings
) -> "dict[str, np.ndarray]":
    """F1 of every picture, float64 [n]."""
    return {"f1": paired(found, truth)}


def paired(found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]") -> "np.ndarray":
    """The paired metric of every picture, float64 [n]: F1 of the boxes shown at an overlap of 0.5; 1 where there is no
    object and none is shown."""
    from components.metrics import detection

    return detection.outcome(found, truth).f1


def slices(truth: "dict[str, np.ndarray]", info: dict[str, Any]) -> "dict[str, np.ndarray]":
    """Slice name -> bool [n]: by the number of objects, by their size, and by the classes present."""
    from components.metrics.detection import SIZES
    from components.vision import boxes

    there, counts = truth["labels"] != boxes.NONE, truth["count"]
    areas = boxes.areas(truth["boxes"]) * (truth["height"] * truth["width"])[:, None]
    found = {
        "no object": counts == 0,
        "1 object": counts == 1,
        "2 or 3 objects": (counts >= 2) & (counts <= 3),
        "4 to 9 objects": (counts >= 4) & (counts <= 9),
        "10 objects or more": counts >= 10,
    }
    for size, (low, high) in SIZES.items():
        found[f"with a {size} object"] = (there & (areas >= low) & (areas < high)).any(axis=1)
    for label, name in enumerate(info["classes"]):
        found[f"with {name}"] = (truth["labels"] == label).any(axis=1)
    return {name: mask for name, mask in found.items() if mask.any()}


def notable(found: "dict[str, np.ndarray]", truth: "dict[str, np.ndarray]") -> "dict[str, np.ndarray]":
    """The pictures with the lowest F1, of those the ones with most mistakes first; and those without a mistake, the
    ones with most objects and the highest scores first."""
    import numpy as np

    from components.metrics import detection

    told = detection.outcome(found, truth)
    mistakes = told.wrong + told.missed
    worst = np.where(mistakes > 0, 1 - told.f1 + 1e-3 * mistakes, 0.0)
    shown = np.where(told.sure, found["scores"], 0.0).sum(axis=1) / np.maximum(told.right, 1)
    best = np.where((mistakes == 0) & (told.right > 0), told.right + shown, 0.0)
    return {WORST: worst, BEST: best}


def figures(
    found: "dict[str, np.ndarray]",
    truth: "dict[str, np.ndarray]",
    settings: Settings,
    info: dict[str, Any],
    intervals: "Resampled",
    shown: "Mapping[str, Sequence[tuple[int, np.ndarray]]]",
) -> "list[Markup]":
    """The report's sections: average precision by class, precision and recall, and pictures with their boxes."""
    from components.tasks.object_detection import figures

    # Matching all boxes anew would take as long as all the rest.
    return figures.parts(intervals.judged, info["classes"], shown)


# --- export and prediction -------------------------------------------------------------------------------------------


def served(
    network: "keras.Model", assets: dict[str, Any], info: dict[str, Any]
) -> "tuple[tf.TensorSpec, Callable[[tf.Tensor], dict[str, tf.Tensor]]]":
    """A SavedModel takes pictures as the network does, and answers with its outputs and with what it found: ``boxes``,
    ``scores`` and ``labels``, best first, after the post-processing that judged it."""
    import tensorflow as tf

    from components.vision import boxes

    taken = network.inputs[0]
    signature = tf.TensorSpec(taken.shape, taken.dtype, name=taken.name)

    def answer(images: "tf.Tensor") -> "dict[str, tf.Tensor]":
        outputs = network(images, training=False)
        return {"outputs": outputs, **boxes.found_in_graph(outputs)}

    return signature, answer


def predictions(found: "dict[str, np.ndarray]", settings: Settings, info: dict[str, Any]) -> list[dict[str, Any]]:
    """What is shown of each picture: ``objects``, best first, each with ``label``, ``score`` and ``box`` (left, top,
    right, bottom as fractions of the picture's width and height)."""
    names = info["classes"]
    made = []
    for boxes, scores, labels, sure in zip(
        *(found[name] for name in ("boxes", "scores", "labels", "sure")), strict=True
    ):
        objects = [
            {"label": names[label], "score": round(float(score), 4), "box": [round(edge, 4) for edge in box]}
            for box, score, label in zip(boxes[sure].tolist(), scores[sure], labels[sure], strict=True)
        ]
        made.append({"objects": objects})
    return made


def row(prediction: Mapping[str, Any]) -> dict[str, str]:
    """A prediction as a line of a table: how many objects, and each with its score and place."""
    told = [
        f"{one['label']} {one['score']:.2f} ({', '.join(f'{edge:.2f}' for edge in one['box'])})"
        for one in prediction["objects"]
    ]
    return {"objects": str(len(told)), "label, score and box": "; ".join(told) or "none is sure enough"}


read_inputs, described = _pictures.read_inputs, _pictures.described


def rendered(content: "np.ndarray", prediction: Mapping[str, Any], info: dict[str, Any]) -> bytes:
    """The picture with what was found in it, as a PNG file."""
    import io

    from PIL import Image

    from components.vision import box_drawing

    colours = dict(zip(info["classes"], box_drawing.COLOURS * len(info["classes"]), strict=False))
    boxes = [
        box_drawing.Box(tuple(one["box"]), f"{one['label']} {one['score']:.2f}", colours[one["label"]])
        for one in prediction["objects"]
    ]
    stream = io.BytesIO()
    Image.fromarray(box_drawing.drawn(content, boxes)).save(stream, format="PNG")
    return stream.getvalue()


def limits(info: dict[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """What a user should know."""
    from components.vision import boxes

    return [
        "It finds nothing but its classes, and may take something else for one of them.",
        f"At most {boxes.MOST_FOUND} objects of a picture are found.",
        f"Objects of a class whose boxes overlap by more than {boxes.MOST_OVERLAP:g} may be taken for one.",
        f"Boxes that score under {settings.get('confidence', Settings().confidence):g} are not shown.",
    ]
