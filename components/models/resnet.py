"""Residual networks of 18 to 152 layers (He et al., 2015, arXiv:1512.03385), version 1.5."""

from typing import TYPE_CHECKING, Literal

from components.models import ModelSettings

if TYPE_CHECKING:
    import keras


class Settings(ModelSettings):
    """A residual network.

    Attributes:
        depth: the number of layers.
        stem: ``large`` starts with a 7 x 7 convolution of stride 2 and a pool (224 px); ``small`` with one 3 x 3
            convolution (32 px); ``auto`` takes ``small`` below 64 px.
    """

    name: Literal["resnet"] = "resnet"
    depth: Literal[18, 34, 50, 101, 152] = 50
    stem: Literal["auto", "small", "large"] = "auto"


def build(settings: Settings, input_shape: tuple[int, int, int], units: int) -> "keras.Model":
    raise NotImplementedError
