"""Residual networks of 18 to 152 layers (He et al., 2015, arXiv:1512.03385), version 1.5."""

from typing import TYPE_CHECKING, ClassVar, Literal

from components.models import ModelSettings

if TYPE_CHECKING:
    import keras

# depth: (kind of block, blocks in each of the four stages), table 1 of the paper.
SIZES: dict[int, tuple[Literal["basic", "bottleneck"], tuple[int, int, int, int]]] = {
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}
SMALL = 64


class Settings(ModelSettings):
    """A residual network.

    Attributes:
        depth: number of layers.
        stem: ``large`` starts with a 7 x 7 convolution of stride 2 and a pool (224 px); ``small`` with one 3 x 3
            convolution (32 px); ``auto`` is ``small`` below 64 px.
        zero_gamma: start each block as the identity, by a last scale of 0 (Goyal et al., 2017, arXiv:1706.02677, 5.1).
    """

    interface: ClassVar[str] = "image -> classes"

    name: Literal["resnet"] = "resnet"
    depth: Literal[18, 34, 50, 101, 152] = 50
    stem: Literal["auto", "small", "large"] = "auto"
    zero_gamma: bool = True


def build(settings: Settings, input_shape: tuple[int, int, int], units: int) -> "keras.Model":
    """The network, from pixels of 0 to 255 to logits.

    Args:
        input_shape: height, width and channels.
        units: number of logits.
    """
    import keras

    from components.models import _residual as residual

    kind, stages = SIZES[settings.depth]
    small = settings.stem == "small" or (settings.stem == "auto" and min(input_shape[:2]) < SMALL)
    inputs = keras.Input(input_shape, dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(inputs)
    x = residual.normalised(x, 64, 3 if small else 7, 1 if small else 2, "stem")
    x = keras.layers.ReLU(name="stem_relu")(x)
    if not small:
        x = keras.layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(x)
    for stage, blocks in enumerate(stages, 1):
        for number in range(1, blocks + 1):
            strides = 2 if stage > 1 and number == 1 else 1
            x = residual.block(x, kind, 32 * 2**stage, strides, settings.zero_gamma, f"stage{stage}_block{number}")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    # Logits are float32 in every precision: softmax and loss need it.
    logits = keras.layers.Dense(units, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=f"resnet{settings.depth}")
