"""A small anchor-free detector: residual stages, a feature pyramid, and the same head at every level."""

import math
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from components.core.config import Positive
from components.models import ModelSettings

if TYPE_CHECKING:
    import keras

# The stride of the first feature map with predictions; finer ones cost more than they add.
FINEST = 8
# A location's prior box, in strides: a level detects objects of two to eight strides.
PRIOR = 4
# The initial probability of an object at each location, so that the many empty ones do not dominate the first steps
# (Lin et al., 2017, arXiv:1708.02002, 4.1).
PRIOR_PROBABILITY = 0.01


class Settings(ModelSettings):
    """One box for each location of feature maps of stride 8, 16, ... (as in YOLOX, Ge et al., 2021, arXiv:2107.08430;
    the pyramid is that of Lin et al., 2017, arXiv:1612.03144).

    Attributes:
        filters: of each stage, which halves the image; the outputs from the third on enter the pyramid.
        blocks: residual blocks in each stage from the second on.
        pyramid: filters of each level of the pyramid.
        head: 3 x 3 convolutions before the boxes, and as many before the classes.
    """

    interface: ClassVar[str] = "image -> boxes"

    name: Literal["detector"] = "detector"
    filters: Annotated[tuple[Positive, ...], Field(min_length=4)] = (32, 64, 128, 128)
    blocks: Positive = 1
    pyramid: Positive = 64
    head: Positive = 2

    def problem(self, input_shape: tuple[int, ...]) -> str:
        largest, least = 2 ** len(self.filters), min(input_shape[:2])
        if least < largest:
            return f"{len(self.filters)} stages leave nothing of {least} pixels; shorten model.filters"
        if uneven := [side for side in input_shape[:2] if side % largest]:
            return f"{uneven[0]} pixels are not a multiple of {largest}; change the side, or shorten model.filters"
        return ""


def build(settings: Settings, input_shape: tuple[int, int, int], units: int) -> "keras.Model":
    """The network, from pixels of 0 to 255 to boxes and logits in the format of components.vision.boxes.

    Args:
        input_shape: height, width and channels.
        units: number of classes.
    """
    import keras

    from components.layers.prior_boxes import PriorBoxes

    inputs = keras.Input(input_shape, dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    x = _normalised(x, settings.filters[0], 2, "stem")
    levels = []
    for stage, filters in enumerate(settings.filters[1:], 2):
        x = _normalised(x, filters, 2, f"stage{stage}")
        for block in range(settings.blocks):
            x = _residual(x, filters, f"stage{stage}_block{block + 1}")
        if 2**stage >= FINEST:
            levels.append(x)
    levels = _pyramid(levels, settings.pyramid)
    strides = [FINEST * 2**number for number in range(len(levels))]
    sizes = [[stride, [[PRIOR * stride, PRIOR * stride]]] for stride in strides]
    # All levels share the weights.
    heads = _head(settings, 4, 0.5, "offsets"), _head(settings, units, PRIOR_PROBABILITY, "logits")
    offsets, logits = (
        keras.layers.Concatenate(axis=1, dtype="float32")([head(level) for level in levels]) for head in heads
    )
    boxes = PriorBoxes(input_shape[0], input_shape[1], sizes, name="boxes")(offsets)
    outputs = keras.layers.Concatenate(dtype="float32", name="found")([boxes, logits])
    return keras.Model(inputs, outputs, name="detector")


def _pyramid(levels: "list[keras.KerasTensor]", filters: int) -> "list[keras.KerasTensor]":
    """Each level merged with the coarser ones."""
    import keras

    merged: list[keras.KerasTensor] = []
    for number in reversed(range(len(levels))):
        x = keras.layers.Conv2D(filters, 1, name=f"lateral{number}")(levels[number])
        if merged:
            up = keras.layers.UpSampling2D(name=f"up{number}")(merged[0])
            x = keras.layers.Add(name=f"merged{number}")([x, up])
        merged.insert(0, x)
    return [_normalised(x, filters, 1, f"pyramid{number}") for number, x in enumerate(merged)]


def _head(settings: Settings, outputs: int, initial: float, name: str) -> "keras.Model":
    """Convolutions from any level of the pyramid to ``outputs`` numbers per location, [n, locations, outputs].

    Args:
        initial: the sigmoid of the outputs before training.
    """
    import keras

    x = inputs = keras.Input((None, None, settings.pyramid))
    for number in range(settings.head):
        x = keras.layers.Conv2D(settings.pyramid, 3, padding="same", activation="relu", name=f"{name}_{number}")(x)
    bias = keras.initializers.Constant(math.log(initial / (1 - initial)))
    # Boxes and logits are float32 in every precision: edges and loss need it.
    x = keras.layers.Conv2D(outputs, 3, padding="same", bias_initializer=bias, dtype="float32", name=f"{name}_last")(x)
    return keras.Model(inputs, keras.layers.Reshape((-1, outputs), dtype="float32")(x), name=name)


def _residual(x: "keras.KerasTensor", filters: int, name: str) -> "keras.KerasTensor":
    """Two 3 x 3 convolutions with a shortcut."""
    import keras

    y = _normalised(x, filters, 1, f"{name}_1")
    y = _normalised(y, filters, 1, f"{name}_2", activation=False)
    return keras.layers.ReLU(name=f"{name}_relu")(keras.layers.Add(name=f"{name}_add")([x, y]))


def _normalised(
    x: "keras.KerasTensor", filters: int, strides: int, name: str, activation: bool = True
) -> "keras.KerasTensor":
    """A 3 x 3 convolution without bias, then batch normalization, which has one, and ReLU."""
    import keras

    x = keras.layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_out")(x) if activation else x
