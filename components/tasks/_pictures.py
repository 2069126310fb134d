"""What tasks share whose examples are pictures: uint8 arrays of one shape, or JPEG and PNG files of any size."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from components.core.errors import StepError
from components.tasks import _classifier

if TYPE_CHECKING:
    import keras
    import numpy as np
    import tensorflow as tf

    from components.core.examples import Examples


def feature(info: dict[str, Any]) -> Any:
    """The TFDS feature of a picture."""
    import numpy as np
    from tensorflow_datasets import features as kinds

    shape = tuple(info["image_shape"])
    if info["encoding"] == "raw":
        return kinds.Tensor(shape=shape, dtype=np.uint8, encoding="bytes")
    return kinds.Image(shape=(None, None, shape[-1]))


def shape_of(settings: Any) -> list[int]:
    """Height, width and channels that the settings ask for, where the data themselves have none.

    Raises:
        StepError: they do not.
    """
    if not settings.image_shape:
        raise StepError("data.image_shape is not set", advice="write height, width, channels", kind="settings")
    return list(settings.image_shape)


def pixels(image: bytes, info: dict[str, Any]) -> "np.ndarray":
    """A stored picture at its own size, uint8 [height, width, channels].

    Raises:
        ValueError: it cannot be decoded.
    """
    import numpy as np

    from components.vision import images

    shape = info["image_shape"]
    if info["encoding"] == "raw":
        return np.frombuffer(image, np.uint8).reshape(shape)
    try:
        return images.decoded(image, shape[-1])
    except ValueError as error:
        raise ValueError(f"cannot be read as a picture: {error}") from None


def array_faults(images: "list[np.ndarray]", info: dict[str, Any]) -> dict[int, str]:
    """Position -> what is wrong with an array."""
    import numpy as np

    shape, kind = tuple(info["image_shape"]), np.dtype(np.uint8)
    wrong = [place for place, image in enumerate(images) if image.shape != shape or image.dtype != kind]
    found = ((place, images[place]) for place in wrong)
    return {
        place: f"the picture is {image.dtype} {list(image.shape)}, not uint8 {list(shape)}" for place, image in found
    }


def parsed(images: "tf.Tensor", info: dict[str, Any]) -> "tf.Tensor":
    """Stored pictures, string [batch], as the network takes them: uint8 [batch, height, width, channels]."""
    import tensorflow as tf

    height, width, channels = info["image_shape"]
    if info["encoding"] == "raw":
        values = tf.io.decode_raw(images, tf.uint8, fixed_length=height * width * channels)
        return tf.reshape(values, [-1, height, width, channels])

    def decoded(data: "tf.Tensor") -> "tf.Tensor":
        # It reads PNG, too. The accurate transform is Pillow's, so that prediction sees the very same pixels.
        image = tf.io.decode_jpeg(data, channels=channels, dct_method="INTEGER_ACCURATE")
        image.set_shape([None, None, channels])
        resized = tf.image.resize(image, [height, width])
        return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)

    spec = tf.TensorSpec([height, width, channels], tf.uint8)
    return tf.map_fn(decoded, images, fn_output_signature=spec)


def expected(model: Any, data: Any, facts: Any) -> dict[str, Any]:
    """``input_shape`` (height, width, channels) and ``units`` as far as settings and facts tell them.

    Raises:
        StepError: they do not.
    """
    shape = data.input_shape()
    if not shape:
        raise StepError(f"data: the settings of {data.name} do not tell the shape of an input", kind="settings")
    return {"input_shape": list(shape), "units": _classifier.expected_units(data, facts)}


def arguments(model: Any, examples: "Examples") -> dict[str, Any]:
    """``input_shape`` and ``units``, one for each class, of prepared data."""
    shape = tuple(int(side) for side in examples.info["image_shape"])
    return {"input_shape": shape, "units": len(examples.info["classes"])}


def assets(network: "keras.Model", info: dict[str, Any]) -> dict[str, Any]:
    """None: a network takes pictures as they are."""
    return {}


def encoded(
    contents: "Sequence[np.ndarray] | np.ndarray", assets: dict[str, Any], info: dict[str, Any]
) -> "np.ndarray":
    """Pictures of one size, uint8 [n, height, width, channels]."""
    import numpy as np

    return np.asarray(contents)


def other_shape(network: "keras.Model", info: dict[str, Any]) -> str:
    """Why a network does not take pictures of this shape, or an empty string."""
    takes, shape = tuple(network.input_shape[1:]), tuple(int(side) for side in info["image_shape"])
    if takes == shape:
        return ""
    return f"takes inputs of {' x '.join(map(str, takes))}, the data have {' x '.join(map(str, shape))}"


def read_inputs(path: str, info: dict[str, Any]) -> "list[tuple[str, np.ndarray]]":
    """Name and uint8 array [height, width, channels] of every picture in an image file, a folder or a .npy file.

    Raises:
        StepError: one of them cannot be read.
    """
    from components.vision import images

    height, width, channels = info["image_shape"]
    return images.read(path, (height, width, channels))


def described(info: dict[str, Any]) -> dict[str, Any]:
    """Facts for the model card."""
    return {"input": " x ".join(str(int(side)) for side in info["image_shape"]), "classes": len(info["classes"])}
