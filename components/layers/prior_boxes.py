"""Boxes from a network's raw outputs: each location's prior box, moved and stretched as the network says."""

from typing import Any

import keras
import numpy as np

from components.vision.boxes import UNITS

# exp() of more would be a box 54 times its prior box (keras-hub and torchvision bound it at log(1000 / 16), too).
MOST_STRETCH = 4.0


@keras.saving.register_keras_serializable("suanli")
class PriorBoxes(keras.layers.Layer):
    """Turns offsets [n, locations, 4] into the edges of boxes [n, locations, 4]: left, top, right, bottom.

    A location at (x, y) has a prior box of a width and height; offsets (dx, dy, dw, dh) make of it a box about
    (x + dx width, y + dy height) of exp(dw) width by exp(dh) height (Girshick et al., 2014, arXiv:1311.2524, appendix
    C). A detector with one square prior box at each location is anchor-free in the manner of YOLOX (Ge et al., 2021,
    arXiv:2107.08430); one with several at each is RetinaNet's.

    Edges are counted in ``UNITS`` of the picture's side.

    Args:
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        levels: for each feature map its stride and the widths and heights of its prior boxes, in pixels:
            ``[[8, [[16, 16]]], ...]``. Locations go row by row, map by map.
        offset: where in its cell a location lies: 0.5 is the middle, 0 the upper left corner.
    """

    def __init__(self, height: int, width: int, levels: list[Any], offset: float = 0.5, **kwargs: Any) -> None:
        # In bfloat16 an edge would be off by half a pixel at 128.
        super().__init__(dtype="float32", **{name: value for name, value in kwargs.items() if name != "dtype"})
        self.height, self.width, self.levels, self.offset = height, width, levels, offset
        self._priors = self.priors() * (UNITS / np.array([width, height, width, height], np.float32))

    def priors(self) -> np.ndarray:
        """The prior boxes in pixels, float32 [locations, 4]: middle x and y, width, height."""
        parts = []
        for stride, sizes in self.levels:
            rows, columns = -(-self.height // stride), -(-self.width // stride)
            y, x = np.meshgrid((np.arange(rows) + self.offset), (np.arange(columns) + self.offset), indexing="ij")
            middles = np.stack([x.ravel(), y.ravel()], 1) * stride
            repeated = np.repeat(middles, len(sizes), axis=0)
            parts.append(np.concatenate([repeated, np.tile(sizes, (len(middles), 1))], 1))
        return np.concatenate(parts).astype(np.float32)

    def strides(self) -> np.ndarray:
        """Each location's stride in pixels, float32 [locations]."""
        counts = [
            (-(-self.height // stride)) * (-(-self.width // stride)) * len(sizes) for stride, sizes in self.levels
        ]
        return np.repeat(np.array([stride for stride, _ in self.levels], np.float32), counts)

    def locations(self) -> dict[str, Any]:
        """The arguments that say where the locations lie."""
        return {"height": self.height, "width": self.width, "levels": self.levels, "offset": self.offset}

    def call(self, offsets: Any) -> Any:
        """The boxes."""
        middle, size = self._priors[:, :2], self._priors[:, 2:]
        centre = middle + offsets[..., :2] * size
        half = keras.ops.exp(keras.ops.clip(offsets[..., 2:], -MOST_STRETCH, MOST_STRETCH)) * (size / 2)
        return keras.ops.concatenate([centre - half, centre + half], axis=-1)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **self.locations()}
