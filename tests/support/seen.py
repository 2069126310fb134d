"""What a training really computes on: each step's examples, written down as the step is executed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any


@contextmanager
def recorded(path: Path) -> Iterator[None]:
    """Let every model's training step append a line of JSON: its number, and a digest of each example's pixels."""
    import keras
    import tensorflow as tf

    before = keras.Model.train_step
    path.touch()

    def note(number: Any, images: Any) -> None:
        digests = [sha256(image.tobytes()).hexdigest()[:16] for image in images]
        with path.open("ab", buffering=0) as stream:
            # One write: a kill leaves the line whole or not there.
            stream.write(f"{json.dumps([int(number), digests])}\n".encode())

    def train_step(self: Any, data: Any) -> Any:
        number = tf.identity(self.optimizer.iterations)
        noted = tf.numpy_function(note, [number, data[0]], [], stateful=True)
        with tf.control_dependencies([noted]):
            return before(self, data)

    keras.Model.train_step = train_step
    try:
        yield
    finally:
        keras.Model.train_step = before


def steps(path: Path) -> list[tuple[int, list[str]]]:
    """The lines: the step's number in the whole training (0, 1, ...) and its examples, in the order of execution."""
    return [(number, digests) for number, digests in map(json.loads, path.read_text().splitlines())]
