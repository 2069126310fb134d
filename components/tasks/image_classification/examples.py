"""Examples: an image, its label, and its brightness for slices."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from components.core.examples import Likeness, Records, TfdsConversion
from components.tasks import _features, contract
from components.tasks._images import image_shape, near_duplicates
from components.tasks._images.examples import array_faults, feature, identity, normalised, parse_images, pixels
from components.tasks.image_classification import Info
from components.tasks.image_classification.summary import ImageSummary

if TYPE_CHECKING:
    import tensorflow as tf


class Examples(contract.Examples[Info]):
    """An example of a source has ``image`` (a uint8 array, or the bytes of an image file) and ``label``."""

    kinds: ClassVar[dict[str, type]] = {"image": bytes, "key": bytes, "label": int, "brightness": float}
    likeness: ClassVar[Likeness | None] = near_duplicates

    def features(self) -> dict[str, Any]:
        return super().features() | {"image": feature(self.info)}

    def to_records(self, examples: list[dict[str, Any]]) -> Records:
        """Faults: undecodable, another shape or dtype, a label outside the classes."""
        images: Any = [example["image"] for example in examples]
        labels = np.array([example["label"] for example in examples], np.int64)
        raw = self.info["encoding"] == "raw"
        identities, sketches, brightness = None, np.empty((len(images), 0)), np.empty(len(images))
        if raw:
            faults = array_faults(images, self.info)
        else:
            identities, sketches, brightness, faults = self._check_files(images)
        faults |= {position: example["fault"] for position, example in enumerate(examples) if example.get("fault")}
        last = len(self.info["classes"]) - 1
        for position in np.flatnonzero((labels < 0) | (labels > last)).tolist():
            faults[position] = f"label {labels[position]} is outside 0..{last}"
        if faults:
            good = [position for position in range(len(images)) if position not in faults]
            images, labels = [images[position] for position in good], labels[good]
            identities = identities and [identities[position] for position in good]
            sketches, brightness = sketches[good], brightness[good]
        if raw and images:
            # All at once: several times faster than one after the other.
            arrays = np.concatenate(images).reshape(len(images), *self.info["image_shape"])
            images, sketches = arrays.reshape(len(images), -1), near_duplicates.sketch(arrays)
            brightness = images.sum(axis=1, dtype=np.uint64) / (255 * images.shape[1])
        features: Any = {"label": labels, "brightness": brightness.astype(np.float32)}
        return Records(images, features, dict(sorted(faults.items())), identities, sketches)

    def _check_files(self, images: list[bytes]) -> tuple[list[bytes], np.ndarray, np.ndarray, dict[int, str]]:
        """Identity, sketch and brightness (0..1) of each image, and position -> what is wrong with a file. In the list
        each file becomes the one that is stored."""
        identities, sketches = [b""] * len(images), np.zeros((len(images), near_duplicates.SIDE**2), np.uint8)
        brightness, faults = np.zeros(len(images)), {}
        for position, image in enumerate(images):
            try:
                images[position], decoded = normalised(image, self.info)
            except ValueError as error:
                faults[position] = str(error)
                continue
            identities[position], sketches[position] = identity(decoded), near_duplicates.sketch(decoded[None])[0]
            # Column by column: three times as fast as all at once.
            total = decoded.reshape(len(decoded), -1).sum(axis=0, dtype=np.uint32).sum(dtype=np.uint64)
            brightness[position] = total / (255 * decoded.size)
        return identities, sketches, brightness, faults

    def parse(self, records: "tf.Tensor") -> "dict[str, tf.Tensor]":
        """``image`` uint8 [batch, height, width, channels], the others [batch]."""
        batch = super().parse(records)
        return batch | {"image": parse_images(batch["image"], self.info)}

    def summary(self) -> ImageSummary:
        return ImageSummary(self.info["classes"], lambda image: pixels(image, self.info))

    @staticmethod
    def from_tfds(features: Any, settings: Any, supervised: Sequence[str] = ()) -> TfdsConversion:
        """Data sets with a picture and a class, called ``image`` and ``label`` unless the settings name others."""
        shape = image_shape(settings)
        image = _features.find_content(features, settings, supervised, "image", _features.is_picture)
        label = _features.find_label(features, settings, supervised)
        raw = list(features[image].shape) == shape
        if not raw and type(features[image]).__name__ == "Tensor":
            raise ValueError(f"has arrays of {list(features[image].shape)}, not {shape}")
        return TfdsConversion(
            {"image_shape": shape, "encoding": "raw" if raw else "encoded", **_features.classes(features[label])},
            lambda one: {"image": one[image], "label": one[label]},
            undecoded=() if raw else (image,),
            label=(label,),
        )
