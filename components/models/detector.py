"""A small anchor-free detector: residual stages, a feature pyramid, and the same head at every level."""

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
    from components.models import _pyramid as blocks

    inputs = keras.Input(input_shape, dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    x = blocks.normalised(x, settings.filters[0], 2, "stem")
    levels = []
    for stage, filters in enumerate(settings.filters[1:], 2):
        x = blocks.normalised(x, filters, 2, f"stage{stage}")
        for block in range(settings.blocks):
            x = blocks.residual(x, filters, f"stage{stage}_block{block + 1}")
        if 2**stage >= FINEST:
            levels.append(x)
    levels = blocks.pyramid(levels, settings.pyramid)
    strides = [FINEST * 2**number for number in range(len(levels))]
    sizes = [[stride, [[PRIOR * stride, PRIOR * stride]]] for stride in strides]
    # All levels share the weights.
    width, depth = settings.pyramid, settings.head
    heads = (
        blocks.head(width, depth, 4, 0.5, "offsets"),
        blocks.head(width, depth, units, PRIOR_PROBABILITY, "logits"),
    )
    offsets, logits = (
        keras.layers.Concatenate(axis=1, dtype="float32")([head(level) for level in levels]) for head in heads
    )
    boxes = PriorBoxes(input_shape[0], input_shape[1], sizes, name="boxes")(offsets)
    outputs = keras.layers.Concatenate(dtype="float32", name="found")([boxes, logits])
    return keras.Model(inputs, outputs, name="detector")
