"""RetinaNet (Lin et al., 2017, arXiv:1708.02002) from keras-hub, the optional extra ``hub``."""

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from components.core.config import Positive
from components.models import ModelSettings, _hub

if TYPE_CHECKING:
    import keras

# Feature maps of stride 8 to 128, and at each location anchors of three sizes and three ratios (the paper's section 4).
FINEST, COARSEST = 3, 7
SCALES, RATIOS, ANCHOR = 3, (0.5, 1.0, 2.0), 4
# The initial probability of an object at a location (the paper's section 4.1).
PRIOR_PROBABILITY = 0.01
# depth: (kind of block, blocks in each stage), He et al., 2015, table 1.
ENCODERS = {18: ("basic_block", [2, 2, 2, 2]), 50: ("bottleneck_block", [3, 4, 6, 3])}


class Settings(ModelSettings):
    """RetinaNet with a residual network of ``depth`` layers.

    The loss is the task's, not keras-hub's: objects are assigned to the locations that predict them best, not by fixed
    overlaps with anchors.

    Attributes:
        depth: layers of the residual network.
        head: convolutions before the boxes, and as many before the classes.
        preset: a local folder of a keras-hub RetinaNet preset to start from, with weights; empty for random weights.
            With another number of classes the heads start from random weights.
    """

    interface: ClassVar[str] = "image -> boxes"

    name: Literal["retinanet"] = "retinanet"
    depth: Literal[18, 50] = 50
    head: Positive = 4
    preset: str = ""

    def problem(self, input_shape: tuple[int, ...]) -> str:
        largest = 2**COARSEST
        if uneven := [side for side in input_shape[:2] if side % largest]:
            return f"{uneven[0]} pixels are not a multiple of {largest}, which the coarsest feature map needs"
        return "" if input_shape[2] == 3 else f"images of 3 channels were expected, not {input_shape[2]}"


def build(settings: Settings, input_shape: tuple[int, int, int], units: int) -> "keras.Model":
    """The network, from pixels of 0 to 255 to boxes and logits in the format of components.vision.boxes.

    Args:
        input_shape: height, width and channels.
        units: number of classes.

    Raises:
        StepError: keras-hub is not installed, or the preset cannot be opened.
    """
    hub = _hub.library("retinanet", instead="detector")
    import keras

    from components.layers.prior_boxes import PriorBoxes

    inputs = keras.Input(input_shape, dtype="uint8", name="image")
    # ImageNet's mean and standard deviation, with which the presets' residual networks were trained.
    x = keras.layers.Rescaling(
        [1 / 255 / 0.229, 1 / 255 / 0.224, 1 / 255 / 0.225], [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225]
    )(inputs)
    detector = _preset(hub, settings, units) if settings.preset else _new(hub, settings, units)
    # The whole of keras-hub's class: Keras cannot load the plain graph of its layers, some of which return dicts.
    raw = detector(x)
    levels = [[2**level, anchors(2**level)] for level in range(FINEST, COARSEST + 1)]
    offsets = keras.layers.Activation("linear", dtype="float32")(raw["bbox_regression"])
    logits = keras.layers.Activation("linear", dtype="float32", name="logits")(raw["cls_logits"])
    # keras-hub's anchors are centred at the upper left corner of a cell.
    boxes = PriorBoxes(input_shape[0], input_shape[1], levels, offset=0.0, name="boxes")(offsets)
    outputs = keras.layers.Concatenate(dtype="float32", name="found")([boxes, logits])
    return keras.Model(inputs, outputs, name="retinanet")


def anchors(stride: int) -> list[list[float]]:
    """Widths and heights of the prior boxes of a feature map, in the order and rounding of keras-hub's
    AnchorGenerator."""
    import numpy as np

    sizes: list[list[float]] = []
    for ratio in RATIOS:
        for scale in range(SCALES):
            side = int(stride * ANCHOR * 2 ** (scale / SCALES))
            # Half to even, in float32, as in keras.ops.round.
            sides = np.array([side / math.sqrt(ratio), side * math.sqrt(ratio)], np.float32)
            sizes.append([float(edge) for edge in 2 * np.round(sides / 2)])
    return sizes


def _new(hub: Any, settings: Settings, units: int) -> "keras.Model":
    """The detector with random weights."""
    block, blocks = ENCODERS[settings.depth]
    encoder = hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=blocks,
        stackwise_num_strides=[1, 2, 2, 2],
        block_type=block,
        image_shape=(None, None, 3),
    )
    backbone = hub.models.RetinaNetBackbone(
        image_encoder=encoder, min_level=FINEST, max_level=COARSEST, use_p5=False, image_shape=(None, None, 3)
    )
    detector = hub.models.RetinaNetObjectDetector(
        backbone=backbone,
        num_classes=units,
        pre_logits_num_conv_layers=settings.head,
        bounding_box_format="xyxy",
        compile=False,
    )
    _reset_biases(detector)
    return detector


def _reset_biases(detector: Any) -> None:
    """Give new heads the paper's initial biases: keras-hub 0.32 gives the one of the classes to the boxes."""
    _set_bias(detector.box_head, 0.0)
    _set_bias(detector.classification_head, math.log(PRIOR_PROBABILITY / (1 - PRIOR_PROBABILITY)))


def _set_bias(head: Any, value: float) -> None:
    import numpy as np

    bias = head.prediction_layer.bias
    bias.assign(np.full(bias.shape, value, np.float32))


def _preset(hub: Any, settings: Settings, units: int) -> "keras.Model":
    """The detector of a local preset.

    Raises:
        StepError: the preset cannot be opened.
    """
    with _hub.preset(settings.preset) as folder:
        detector: keras.Model = hub.models.RetinaNetObjectDetector.from_preset(folder)
        if detector.num_classes != units:
            # Given a number of classes, keras-hub does not load the heads.
            detector = hub.models.RetinaNetObjectDetector.from_preset(folder, num_classes=units)
            _reset_biases(detector)
    return detector
