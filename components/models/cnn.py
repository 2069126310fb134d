"""A plain convolutional network: 3 x 3 convolutions with ReLU, each followed by 2 x 2 max pooling."""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from components.core.config import Positive
from components.models import ModelSettings

if TYPE_CHECKING:
    import keras


class Settings(ModelSettings):
    """The defaults are the tutorial's network.

    Attributes:
        filters: of each convolution; a pool after each halves height and width.
        padding: ``valid`` convolutions lose a pixel on each side, as in the tutorial; ``same`` suits small images.
        dense: units of the hidden layer.
        dropout: rate on the outputs of the hidden layer.
    """

    interface: ClassVar[str] = "image -> classes"

    name: Literal["cnn"] = "cnn"
    filters: Annotated[tuple[Positive, ...], Field(min_length=1)] = (32, 64, 128)
    padding: Literal["valid", "same"] = "valid"
    dense: Positive = 64
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def problem(self, input_shape: tuple[int, ...]) -> str:
        pixels = min(input_shape[:2])
        side, lost = pixels, 2 * (self.padding == "valid")
        for number, _ in enumerate(self.filters, 1):
            side = (side - lost) // 2
            if side < 1:
                return (
                    f"convolution and pool {number} of {len(self.filters)} leave nothing of {pixels} pixels; "
                    f"shorten model.filters to {number - 1}, or use model.padding=same or larger images"
                )
        return ""


def build(settings: Settings, input_shape: tuple[int, int, int], units: int) -> "keras.Model":
    """The network, from pixels of 0 to 255 to logits.

    Args:
        input_shape: height, width and channels.
        units: number of logits.
    """
    import keras

    inputs = keras.Input(input_shape, dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    for filters in settings.filters:
        x = keras.layers.Conv2D(filters, 3, padding=settings.padding, activation="relu")(x)
        x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(settings.dense, activation="relu")(x)
    if settings.dropout:
        x = keras.layers.Dropout(settings.dropout)(x)
    # Logits are float32 in every precision: softmax and loss need it.
    logits = keras.layers.Dense(units, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="cnn")
