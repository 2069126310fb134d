"""The published networks that the planner is compared on, each at its paper's size, untrained."""

from collections.abc import Callable
from functools import partial
from typing import Any

from components.models import resnet

Build = Callable[[], Any]


# Models of our own: section and arguments, as the planner asks for them.
OURS = {
    f"resnet{depth}": (
        resnet.Settings(depth=depth).parameters(),  # type: ignore[arg-type]
        {"input_shape": [224, 224, 3], "units": 1000},
    )
    for depth in (18, 34, 50, 101, 152)
}


def _application(name: str, **options: Any) -> Any:
    """A network of keras.applications without weights."""
    import keras

    return getattr(keras.applications, name)(weights=None, **options)


def _resnext(blocks: tuple[int, ...], squeeze: bool = False) -> Any:
    """ResNeXt 32x4d (Xie et al., 2016, arXiv:1611.05431), with squeeze-and-excitation (arXiv:1709.01507) or without."""
    import keras

    layers = keras.layers

    def normalised(x: Any, filters: int, size: int, strides: int = 1, groups: int = 1) -> Any:
        x = layers.Conv2D(filters, size, strides=strides, padding="same", groups=groups, use_bias=False)(x)
        return layers.BatchNormalization()(x)

    inputs = keras.Input((224, 224, 3))
    x = layers.MaxPooling2D(3, 2, padding="same")(layers.ReLU()(normalised(inputs, 64, 7, 2)))
    for stage, count in enumerate(blocks):
        for number in range(count):
            strides = 2 if stage and not number else 1
            width = 128 * 2**stage
            shortcut = x if number else normalised(x, 2 * width, 1, strides)
            y = layers.ReLU()(normalised(x, width, 1))
            y = layers.ReLU()(normalised(y, width, 3, strides, groups=32))
            y = normalised(y, 2 * width, 1)
            if squeeze:
                scale = layers.GlobalAveragePooling2D(keepdims=True)(y)
                scale = layers.Dense(2 * width, activation="sigmoid")(
                    layers.Dense(width // 8, activation="relu")(scale)
                )
                y = layers.Multiply()([y, scale])
            x = layers.ReLU()(layers.Add()([y, shortcut]))
    return keras.Model(inputs, layers.Dense(1000, dtype="float32")(layers.GlobalAveragePooling2D()(x)))


def _plain(plan: tuple[Any, ...], dense: tuple[int, ...]) -> Any:
    """Convolutions (filters, size, strides) and pools ("pool", size, strides), then dense layers: AlexNet and VGG."""
    import keras

    layers = keras.layers
    inputs = x = keras.Input((224, 224, 3))
    for kind, size, strides in plan:
        if kind == "pool":
            x = layers.MaxPooling2D(size, strides)(x)
        else:
            x = layers.Conv2D(kind, size, strides=strides, padding="same", activation="relu")(x)
    x = layers.Flatten()(x)
    for units in dense:
        x = layers.Dropout(0.5)(layers.Dense(units, activation="relu")(x))
    return keras.Model(inputs, layers.Dense(1000, dtype="float32")(x))


POOL2, POOL3 = ("pool", 2, 2), ("pool", 3, 2)
ALEXNET = ((64, 11, 4), POOL3, (192, 5, 1), POOL3, (384, 3, 1), (384, 3, 1), (256, 3, 1), POOL3)
VGG11 = tuple(
    part
    for filters, count in ((64, 1), (128, 1), (256, 2), (512, 2), (512, 2))
    for part in (*([(filters, 3, 1)] * count), POOL2)
)


def _block(x: Any, width: int, heads: int, dropout: float, causal: bool, after: bool) -> Any:
    """Attention and a feed-forward layer of four times the width, normalised before or after each."""
    import keras

    layers = keras.layers

    def residual(x: Any, inner: Callable[[Any], Any]) -> Any:
        norm = layers.LayerNormalization(epsilon=1e-6)
        y = inner(x if after else norm(x))
        y = layers.Dropout(dropout)(y) if dropout else y
        y = layers.Add()([x, y])
        return norm(y) if after else y

    attention = layers.MultiHeadAttention(heads, width // heads, dropout=dropout)
    x = residual(x, lambda y: attention(y, y, use_causal_mask=causal))
    return residual(x, lambda y: layers.Dense(width)(layers.Dense(4 * width, activation="gelu")(y)))


def _text(length: int, width: int, depth: int, vocabulary: int, after: bool, causal: bool, head: str) -> Any:
    """BERT (normalised after, arXiv:1810.04805) or GPT (before, causal), with heads of 64 numbers.

    Args:
        head: ``span`` (two logits a place), ``next`` (the vocabulary at each place) or ``masked`` (at 15% of them).
    """
    import keras

    layers = keras.layers
    inputs = keras.Input((length,), dtype="int32")
    x = layers.Embedding(vocabulary, width)(inputs)
    for _ in range(depth):
        x = _block(x, width, width // 64 if width != 2560 else 20, 0.1 if after else 0.0, causal, after)
    if head == "span":
        outputs = layers.Dense(2, dtype="float32")(x)
    else:
        if head == "masked":
            x = layers.Dense(width, activation="gelu")(x[:, : round(0.16 * length)])
        outputs = layers.Dense(vocabulary)(x)
    return keras.Model(inputs, outputs)


def _vision(patch: int, width: int, heads: int, depth: int = 12) -> Any:
    """A vision transformer (arXiv:2010.11929) at 224 px."""
    import keras

    layers = keras.layers
    inputs = keras.Input((224, 224, 3))
    x = layers.Conv2D(width, patch, strides=patch)(inputs)
    x = layers.Reshape(((224 // patch) ** 2, width))(x)
    for _ in range(depth):
        x = _block(x, width, heads, 0.0, False, False)
    x = layers.LayerNormalization()(x)
    return keras.Model(inputs, layers.Dense(1000, dtype="float32")(layers.GlobalAveragePooling1D()(x)))


BUILD: dict[str, Build] = {
    "resnet50_v1": partial(_application, "ResNet50"),
    "resnet152_v1": partial(_application, "ResNet152"),
    "resnext50": partial(_resnext, (3, 4, 6, 3)),
    "resnext101": partial(_resnext, (3, 4, 23, 3)),
    "se_resnext101": partial(_resnext, (3, 4, 23, 3), squeeze=True),
    "alexnet": partial(_plain, ALEXNET, (4096, 4096)),
    "vgg11": partial(_plain, VGG11, (4096, 4096)),
    "vgg16": partial(_application, "VGG16"),
    "inception_v3": partial(_application, "InceptionV3"),
    "densenet121": partial(_application, "DenseNet121"),
    "convnext_tiny": partial(_application, "ConvNeXtTiny"),
    "mobilenet_v2": partial(_application, "MobileNetV2"),
    "mobilenet_v3_large": partial(_application, "MobileNetV3Large", input_shape=(224, 224, 3)),
    "mobilenet_v3_small": partial(_application, "MobileNetV3Small", input_shape=(224, 224, 3)),
    "efficientnet_b0": partial(_application, "EfficientNetB0"),
    "efficientnet_b1": partial(_application, "EfficientNetB1"),
    "efficientnet_b4": partial(_application, "EfficientNetB4"),
    "efficientnet_v2s": partial(_application, "EfficientNetV2S", input_shape=(300, 300, 3)),
    "vit_ti16": partial(_vision, 16, 192, 3),
    "vit_s16": partial(_vision, 16, 384, 6),
    "vit_b16": partial(_vision, 16, 768, 12),
    "vit_b32": partial(_vision, 32, 768, 12),
    **{
        f"bert_{size}_{length}": partial(_text, length, width, depth, 30_522, True, False, head)
        for size, width, depth in (("base", 768, 12), ("large", 1024, 24))
        for length, head in ((128, "masked"), (384, "span"), (512, "masked"))
    },
    **{
        f"gpt_{size}_{length}": partial(_text, length, width, depth, 50_368, False, True, "next")
        for size, width, depth in (("125m", 768, 12), ("350m", 1024, 24), ("760m", 1536, 24))
        for length in (512, 2048)
    },
}
