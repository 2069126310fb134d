"""Features of a data set of TensorFlow Datasets: which of them a task reads, and the classes of its labels."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Fits = Callable[[Any], bool]


def find(features: Mapping[str, Any], settings: Any, setting: str, usual: Iterable[str], fits: Fits, sure: Fits) -> str:
    """The name of the feature that a task reads.

    Args:
        setting: the setting of the data section that names it; if that is empty, it is the first of the ``usual`` names
            that fits, or the only feature that is sure.
        fits: whether a feature can be read.
        sure: whether a feature is meant if it is the only such one.

    Raises:
        ValueError: there is none, or the choice is the user's; the text follows the data set's name.
    """
    ordered = sorted(features.items())  # a directory's description gives them in any order
    fitting = [name for name, feature in ordered if fits(feature)]
    described = ", ".join(f"{name} ({describe(feature)})" for name, feature in ordered)
    if named := getattr(settings, setting, ""):
        if named in fitting:
            return str(named)
        raise ValueError(
            f"has {described}; data.{setting} can be {' or '.join(fitting) or 'none of them'}, not {named}"
        )
    only = [name for name in fitting if sure(features[name])]
    if names := [name for name in usual if name in fitting] or (only if len(only) == 1 else []):
        return names[0]
    choice = f"set data.{setting} to {' or '.join(fitting)}" if fitting else f"none of them can be data.{setting}"
    raise ValueError(f"has {described}; {choice}")


def find_content(features: Mapping[str, Any], settings: Any, supervised: Sequence[str], usual: str, fits: Fits) -> str:
    """The name of the feature that a network sees.

    Raises:
        ValueError: there is none, or the choice is the user's.
    """
    return find(features, settings, "input", [*supervised[:1], usual], fits, fits)


def find_label(features: Mapping[str, Any], settings: Any, supervised: Sequence[str] = (), content: str = "") -> str:
    """The name of the label.

    Args:
        content: the feature that is classified.

    Raises:
        ValueError: there is none, or the choice is the user's.
    """
    content_feature = dict(features).get(content)  # a FeaturesDict has no get of its own

    def fits(feature: Any) -> bool:
        return feature is not content_feature and is_label(feature)

    return find(features, settings, "label", [*supervised[1:2], "label"], fits, has_names)


def describe(feature: Any) -> str:
    """A feature's kind, with its type of numbers where that matters."""
    kind = type(feature).__name__
    return f"{kind} of {np.dtype(feature.np_dtype)}" if kind in {"Scalar", "Tensor", "Image"} else kind


def is_text(feature: Any) -> bool:
    from tensorflow_datasets import features

    return isinstance(feature, features.Text)


def is_picture(feature: Any) -> bool:
    """Whether a feature has the bytes of image files, or arrays of bytes [height, width, channels]."""
    from tensorflow_datasets import features

    picture = isinstance(feature, features.Image) or (type(feature) is features.Tensor and len(feature.shape) == 3)
    return picture and feature.np_dtype == np.uint8


def is_label(feature: Any) -> bool:
    """Whether each value of a feature names a class: whole numbers, truth values and texts, but not fractions."""
    if is_text(feature) or has_names(feature):
        return True
    scalar = getattr(feature, "shape", None) == () and not isinstance(feature.np_dtype, dict)
    return scalar and np.dtype(feature.np_dtype).kind in "iub"


def has_names(feature: Any) -> bool:
    """Whether the classes of a label are known; a ClassLabel may have neither names nor a number of them."""
    return type(feature).__name__ == "ClassLabel" and feature.num_classes is not None


def classes(feature: Any) -> dict[str, list[str]]:
    """``classes`` for a task's ``info``, if they are known without reading the data."""
    return {"classes": list(feature.names)} if has_names(feature) else {}
