"""What tasks share whose examples are images: uint8 arrays of one shape, or JPEG and PNG files of any size."""

from typing import TYPE_CHECKING, Any

from components.core.errors import StepError
from components.tasks._classifier import expected_units

if TYPE_CHECKING:
    import keras

    from components.core.examples import PreparedData


def image_shape(settings: Any) -> list[int]:
    """Height, width and channels in the data section, for data that do not have one shape themselves.

    Raises:
        StepError: they are not set.
    """
    if not settings.image_shape:
        raise StepError("data.image_shape is not set", advice="write height, width, channels", kind="settings")
    return list(settings.image_shape)


def expected_arguments(model: Any, data: Any, facts: Any) -> dict[str, Any]:
    """``input_shape`` (height, width, channels) and ``units``, as far as the settings and facts say.

    Raises:
        StepError: they do not.
    """
    shape = data.input_shape()
    if not shape:
        raise StepError(f"data: the settings of {data.name} do not tell the shape of an input", kind="settings")
    return {"input_shape": list(shape), "units": expected_units(data, facts)}


def arguments(data: "PreparedData") -> dict[str, Any]:
    """``input_shape`` and ``units``, one for each class, of prepared data."""
    shape = tuple(int(side) for side in data.info["image_shape"])
    return {"input_shape": shape, "units": len(data.info["classes"])}


def shape_problem(network: "keras.Model", shape: list[int]) -> str:
    """Why a network does not take images of this shape, or an empty string."""
    takes, has = tuple(network.input_shape[1:]), tuple(int(side) for side in shape)
    if takes == has:
        return ""
    return f"takes inputs of {' x '.join(map(str, takes))}, the data have {' x '.join(map(str, has))}"


def preprocessing(info: Any) -> str:
    """A line of Python that makes the network's inputs of a picture, unscaled: the network does that."""
    height, width, channels = (int(side) for side in info["image_shape"])
    mode = {1: "L", 3: "RGB", 4: "RGBA"}.get(channels)
    if mode is None:
        return ""
    axes = "[None, ..., None]" if channels == 1 else "[None]"
    return f'inputs = np.asarray(Image.open("picture.png").convert("{mode}").resize(({width}, {height}), 2)){axes}'


def description(info: Any) -> dict[str, Any]:
    """Facts for the model card."""
    return {"input": " x ".join(str(int(side)) for side in info["image_shape"]), "classes": len(info["classes"])}
