"""Blocks of a detector: residual stages, a feature pyramid, and heads shared by its levels."""

import math

import keras


def pyramid(levels: list[keras.KerasTensor], filters: int) -> list[keras.KerasTensor]:
    """Each level merged with the coarser ones."""
    merged: list[keras.KerasTensor] = []
    for number in reversed(range(len(levels))):
        x = keras.layers.Conv2D(filters, 1, name=f"lateral{number}")(levels[number])
        if merged:
            up = keras.layers.UpSampling2D(name=f"up{number}")(merged[0])
            x = keras.layers.Add(name=f"merged{number}")([x, up])
        merged.insert(0, x)
    return [normalised(x, filters, 1, f"pyramid{number}") for number, x in enumerate(merged)]


def head(width: int, depth: int, outputs: int, initial: float, name: str) -> keras.Model:
    """Convolutions from any level of the pyramid to ``outputs`` numbers per location, [n, locations, outputs].

    Args:
        initial: the sigmoid of the outputs before training.
    """
    x = inputs = keras.Input((None, None, width))
    for number in range(depth):
        x = keras.layers.Conv2D(width, 3, padding="same", activation="relu", name=f"{name}_{number}")(x)
    bias = keras.initializers.Constant(math.log(initial / (1 - initial)))
    # Boxes and logits are float32 in every precision: edges and loss need it.
    x = keras.layers.Conv2D(outputs, 3, padding="same", bias_initializer=bias, dtype="float32", name=f"{name}_last")(x)
    return keras.Model(inputs, keras.layers.Reshape((-1, outputs), dtype="float32")(x), name=name)


def residual(x: keras.KerasTensor, filters: int, name: str) -> keras.KerasTensor:
    """Two 3 x 3 convolutions with a shortcut."""
    y = normalised(x, filters, 1, f"{name}_1")
    y = normalised(y, filters, 1, f"{name}_2", activation=False)
    return keras.layers.ReLU(name=f"{name}_relu")(keras.layers.Add(name=f"{name}_add")([x, y]))


def normalised(
    x: keras.KerasTensor, filters: int, strides: int, name: str, activation: bool = True
) -> keras.KerasTensor:
    """A 3 x 3 convolution without bias, then batch normalization, which has one, and ReLU."""
    x = keras.layers.Conv2D(filters, 3, strides=strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_norm")(x)
    return keras.layers.ReLU(name=f"{name}_out")(x) if activation else x
