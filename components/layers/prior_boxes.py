"""Boxes from a detector's raw outputs: the prior box of each location, shifted and scaled by the network."""

from typing import Any

import keras
import numpy as np

from components.vision.boxes import UNITS

# exp(4) scales a prior box by 54 (keras-hub and torchvision clip at log(1000 / 16), about the same).
MAX_LOG_SCALE = 4.0


@keras.saving.register_keras_serializable("suanli")
class PriorBoxes(keras.layers.Layer):
    """Decodes offsets [n, locations, 4] to the edges of boxes [n, locations, 4]: left, top, right, bottom.

    A location at (x, y) has a prior box of a width and height; offsets (dx, dy, dw, dh) give a box centred at
    (x + dx width, y + dy height) of exp(dw) width by exp(dh) height (Girshick et al., 2014, arXiv:1311.2524, appendix
    C). One square prior box at each location makes a detector anchor-free in the manner of YOLOX (Ge et al., 2021,
    arXiv:2107.08430); RetinaNet has several.

    Edges are in ``UNITS`` of the image's side.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        levels: for each feature map its stride and the widths and heights of its prior boxes, in pixels:
            ``[[8, [[16, 16]]], ...]``. Locations are in row-major order, one map after the other.
        offset: of a location in its cell: 0.5 is the centre, 0 the upper left corner.
    """

    def __init__(self, height: int, width: int, levels: list[Any], offset: float = 0.5, **kwargs: Any) -> None:
        # In bfloat16 an edge would be off by half a pixel at 128.
        super().__init__(dtype="float32", **{name: value for name, value in kwargs.items() if name != "dtype"})
        self.height, self.width, self.levels, self.offset = height, width, levels, offset
        self._priors = self.priors() * (UNITS / np.array([width, height, width, height], np.float32))

    def priors(self) -> np.ndarray:
        """The prior boxes in pixels, float32 [locations, 4]: centre x and y, width, height."""
        parts = []
        for stride, sizes in self.levels:
            rows, columns = -(-self.height // stride), -(-self.width // stride)
            y, x = np.meshgrid((np.arange(rows) + self.offset), (np.arange(columns) + self.offset), indexing="ij")
            centres = np.stack([x.ravel(), y.ravel()], 1) * stride
            repeated = np.repeat(centres, len(sizes), axis=0)
            parts.append(np.concatenate([repeated, np.tile(sizes, (len(centres), 1))], 1))
        return np.concatenate(parts).astype(np.float32)

    def strides(self) -> np.ndarray:
        """The stride of each location in pixels, float32 [locations]."""
        counts = [
            (-(-self.height // stride)) * (-(-self.width // stride)) * len(sizes) for stride, sizes in self.levels
        ]
        return np.repeat(np.array([stride for stride, _ in self.levels], np.float32), counts)

    def locations(self) -> dict[str, Any]:
        """The arguments that define the locations."""
        return {"height": self.height, "width": self.width, "levels": self.levels, "offset": self.offset}

    def call(self, offsets: Any) -> Any:
        prior_centre, size = self._priors[:, :2], self._priors[:, 2:]
        centre = prior_centre + offsets[..., :2] * size
        half = keras.ops.exp(keras.ops.clip(offsets[..., 2:], -MAX_LOG_SCALE, MAX_LOG_SCALE)) * (size / 2)
        return keras.ops.concatenate([centre - half, centre + half], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.locations()}
