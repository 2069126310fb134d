"""Blocks of ResNet."""

import keras


def block(
    x: keras.KerasTensor, kind: str, filters: int, strides: int, zero_gamma: bool, name: str
) -> keras.KerasTensor:
    """Two 3 x 3 convolutions, or 1 x 1, 3 x 3, 1 x 1 with four times the filters, with a shortcut.

    Version 1.5 halves the image in the 3 x 3 convolution of a bottleneck, the paper in the 1 x 1 before it.
    """
    # filters, size, strides
    plan = {
        "basic": ((filters, 3, strides), (filters, 3, 1)),
        "bottleneck": ((filters, 1, 1), (filters, 3, strides), (4 * filters, 1, 1)),
    }[kind]
    width = plan[-1][0]
    shortcut = x
    if strides > 1 or x.shape[-1] != width:
        shortcut = normalised(x, width, 1, strides, f"{name}_shortcut")
    for number, (count, size, step) in enumerate(plan, 1):
        last = number == len(plan)
        x = normalised(x, count, size, step, f"{name}_{number}", "zeros" if last and zero_gamma else "ones")
        if not last:
            x = keras.layers.ReLU(name=f"{name}_{number}_relu")(x)
    x = keras.layers.Add(name=f"{name}_add")([x, shortcut])
    return keras.layers.ReLU(name=f"{name}_relu")(x)


def normalised(
    x: keras.KerasTensor, filters: int, size: int, strides: int, name: str, gamma: str = "ones"
) -> keras.KerasTensor:
    """A convolution without bias, then batch normalization, which has one."""
    x = keras.layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, mode="fan_out"),
        name=f"{name}_conv",
    )(x)
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma, name=f"{name}_norm")(x)
