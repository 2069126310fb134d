"""Images as examples: features, decoding and faults."""

from typing import TYPE_CHECKING, Any

import numpy as np
from google_crc32c import value as crc32c

from components.vision import images

if TYPE_CHECKING:
    import tensorflow as tf

# Bytes of pixels that share a checksum.
PIECE = 2**14


def feature(info: Any) -> Any:
    """The TFDS feature of an image."""
    from tensorflow_datasets import features

    shape = tuple(info["image_shape"])
    if info["encoding"] == "raw":
        return features.Tensor(shape=shape, dtype=np.uint8, encoding="bytes")
    return features.Image(shape=(None, None, shape[-1]))


def pixels(image: bytes, info: Any) -> np.ndarray:
    """A stored image at its own size, uint8 [height, width, channels].

    Raises:
        ValueError: it cannot be decoded.
    """
    shape = info["image_shape"]
    if info["encoding"] == "raw":
        return np.frombuffer(image, np.uint8).reshape(shape)
    try:
        return images.decode(image, shape[-1])
    except ValueError as error:
        raise ValueError(f"cannot be read as an image: {error}") from None


def identity(decoded: np.ndarray) -> bytes:
    """Bytes that are the same for the same pixels, uint8 [height, width, channels], whatever the file.

    The checksums of the pixels' pieces: a fifth of a hash's time. Two pictures that differ in one piece alone share
    them once in 2**32 times, and then these near duplicates are in one split.
    """
    data = decoded.tobytes()
    sums = [crc32c(data[start : start + PIECE]) for start in range(0, len(data), PIECE)]
    return np.array([*decoded.shape, *sums], "<u4").tobytes()


def normalised(image: bytes, info: Any) -> tuple[bytes, np.ndarray]:
    """A source's image file as it is stored, and its pixels at its own size.

    Raises:
        ValueError: it cannot be decoded.
    """
    try:
        return images.normalised(image, info["image_shape"][-1])
    except ValueError as error:
        raise ValueError(f"cannot be read as an image: {error}") from None


def array_faults(arrays: list[np.ndarray], info: Any) -> dict[int, str]:
    """Position -> what is wrong with an array."""
    shape, dtype = tuple(info["image_shape"]), np.dtype(np.uint8)
    return {
        position: f"the picture is {array.dtype} {list(array.shape)}, not uint8 {list(shape)}"
        for position, array in enumerate(arrays)
        if array.shape != shape or array.dtype != dtype
    }


def parse_images(stored: "tf.Tensor", info: Any) -> "tf.Tensor":
    """Stored images, string [batch], as the network takes them: uint8 [batch, height, width, channels]."""
    import tensorflow as tf

    height, width, channels = info["image_shape"]
    if info["encoding"] == "raw":
        values = tf.io.decode_raw(stored, tf.uint8, fixed_length=height * width * channels)
        return tf.reshape(values, [-1, height, width, channels])

    def decode(data: "tf.Tensor") -> "tf.Tensor":
        # It reads PNG, too. The accurate transform is Pillow's: prediction sees the very same pixels.
        image = tf.io.decode_jpeg(data, channels=channels, dct_method="INTEGER_ACCURATE")
        image.set_shape([None, None, channels])
        resized = tf.image.resize(image, [height, width])
        return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)

    return tf.map_fn(decode, stored, fn_output_signature=tf.TensorSpec([height, width, channels], tf.uint8))
