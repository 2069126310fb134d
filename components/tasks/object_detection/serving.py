"""Serving: image files in, boxes out."""

import io
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from components.core.errors import StepError
from components.tasks import contract
from components.tasks.object_detection import Info, Settings
from components.vision import box_drawing, boxes, images

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


class Serving(contract.Serving[Info, Settings]):
    def signature(
        self, network: "keras.Model", assets: dict[str, Any]
    ) -> "tuple[tf.TensorSpec, Callable[[tf.Tensor], dict[str, tf.Tensor]]]":
        """``outputs``, and after the same post-processing as in evaluation ``boxes``, ``scores`` and ``labels``, best
        first."""
        spec, network_outputs = super().signature(network, assets)

        def answer(contents: "tf.Tensor") -> "dict[str, tf.Tensor]":
            outputs = network_outputs(contents)
            return outputs | boxes.decode_in_graph(outputs["outputs"])

        return spec, answer

    def read_inputs(self, path: str) -> Iterator[tuple[str, np.ndarray | StepError]]:
        """Name and uint8 array [height, width, channels] of every image in an image file, a folder or a .npy file."""
        height, width, channels = self.info["image_shape"]
        return images.read(path, (height, width, channels))

    def render(self, content: np.ndarray, prediction: Mapping[str, Any]) -> bytes:
        """The image with its predicted boxes."""
        names = self.info["classes"]
        colours = dict(zip(names, box_drawing.COLOURS * len(names), strict=False))
        drawn = [
            box_drawing.Box(tuple(one["box"]), f"{one['label']} {one['score']:.2f}", colours[one["label"]])
            for one in prediction["objects"]
        ]
        stream = io.BytesIO()
        Image.fromarray(box_drawing.draw(content, drawn)).save(stream, format="PNG")
        return stream.getvalue()

    def row(self, prediction: Mapping[str, Any]) -> dict[str, str]:
        """The number of objects, and each with its score and box."""
        objects = [
            f"{one['label']} {one['score']:.2f} ({', '.join(f'{edge:.2f}' for edge in one['box'])})"
            for one in prediction["objects"]
        ]
        return {"objects": str(len(objects)), "label, score and box": "; ".join(objects) or "none is sure enough"}
