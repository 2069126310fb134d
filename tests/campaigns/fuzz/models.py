"""Checkpoints and .keras files: loaded as they were written, or refused, with the model at hand untouched."""

import io
import json
import os
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from components import storage
from components.layers import saved_model
from components.storage import Manifest
from components.train.checkpoint_file import FILE, HEADER, Provenance, TrainingState, state_variables
from components.train.checkpoint_store import CheckpointStore
from tests.campaigns.fuzz import mutation
from tests.campaigns.fuzz.campaign import Case, Wrong, refused
from tests.campaigns.fuzz.stored import disturbed, laid, written

PROVENANCE = Provenance("0123", 7, 2)


def network() -> Any:
    """A model of a few weights, ready to be trained."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,))
    outputs = keras.layers.Dense(2)(keras.layers.Dropout(0.5)(keras.layers.Dense(3, activation="relu")(inputs)))
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def state_of(model: Any) -> list[np.ndarray]:
    return [np.array(variable) for variable in state_variables(model)]


def equal(one: list[np.ndarray], two: list[np.ndarray]) -> bool:
    return all(np.array_equal(first, second) for first, second in zip(one, two, strict=True))


def checkpoints(folder: Path) -> Case:
    """A training's two checkpoints after an accident: it resumes exactly from one of them, or from the start."""
    model = network()
    store = CheckpointStore.under(str(folder / "whole"), PROVENANCE)
    points = []
    for epoch in (1, 2):
        for variable in state_variables(model):
            variable.assign(np.full(variable.shape, epoch))
        done = TrainingState(epoch, 3, {"loss": [0.5] * epoch}, 1, 0.5, epoch - 1, model.get_weights())
        store.save(model, done)
        points.append((done, state_of(model)))
    whole = written(Path(store.uri))
    fresh = [np.full(value.shape, 9, value.dtype) for value in points[0][1]]
    folders = sorted({name.partition("/")[0] for name in whole})

    def case(draw: random.Random) -> str:
        files = dict(whole)
        for name in draw.choice([[folders[1]], [folders[0]], folders]):
            part = {path.partition("/")[2]: files.pop(path) for path in list(files) if path.startswith(name)}
            part = _rewritten(part, draw) if draw.random() < 0.4 else disturbed(part, draw)
            files |= {f"{name}/{path}": content for path, content in part.items()}
        for variable, value in zip(state_variables(model), fresh, strict=True):
            variable.assign(value)
        place = laid(folder / "broken" / PROVENANCE.fingerprint, files)
        word, done = refused(lambda: CheckpointStore(str(place), PROVENANCE).restore(model))
        now = state_of(model)
        if done is None or done == TrainingState():
            if not equal(now, fresh):
                raise Wrong("a refused checkpoint changed the model")
            return "fresh" if done else word
        for epoch, (point, values) in enumerate(points, 1):
            if _position(done) == _position(point):
                if not equal(now, values) or not equal(done.best_weights or [], point.best_weights or []):
                    raise Wrong(f"epoch {epoch} was restored with other values")
                return f"epoch {epoch}"
        raise Wrong(f"it resumes from {_position(done)}, which was never saved")

    return case


def _position(done: TrainingState) -> dict[str, Any]:
    """The state that decides how a training resumes, without weights and goodput."""
    return {name: value for name, value in vars(done).items() if name not in {"best_weights", "spent"}}


def _rewritten(part: dict[str, bytes], draw: random.Random) -> dict[str, bytes]:
    """The same checkpoint with another state, its checksums and manifest made anew: what no accident makes."""
    with np.load(io.BytesIO(part[FILE])) as arrays:
        found = dict(arrays)
    header = json.loads(found[HEADER].tobytes())
    part_of_it = draw.choice(["origin", "layout", "best_weights", "progress"])
    if part_of_it == "progress":
        key = draw.choice(list(header["progress"]))
        header["progress"][key] = draw.choice([None, "x", [], {"loss": "x"}, [[]], True, -1])
    elif part_of_it == "best_weights":
        header["best_weights"] = draw.choice([-1, 99, None, "x", 2.5])
    else:
        header[part_of_it] = mutation.changed(header[part_of_it], draw)
    found[HEADER] = np.frombuffer(mutation.written(header).encode(), np.uint8)
    stream = io.BytesIO()
    np.savez(stream, **found)
    sizes = Manifest({FILE: _described(stream.getvalue())})
    return {FILE: stream.getvalue(), storage.MANIFEST: sizes.text().encode()}


def _described(content: bytes) -> Any:
    import google_crc32c

    from components.storage.manifest import File, encode_checksum

    return File(len(content), encode_checksum(google_crc32c.value(content)))


def keras_files(folder: Path) -> Case:
    """.keras files, changed as bytes or in their configuration."""
    model = network()
    path = folder / "model.keras"
    model.save(path)
    whole, weights = path.read_bytes(), model.get_weights()
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    # A size that fits no memory is the reader's to try: no claim is made about that.
    small = {number: number % 64 for number in mutation.NUMBERS}

    def case(draw: random.Random) -> str:
        raw = draw.random() < 0.6
        if raw:
            path.write_bytes(mutation.bytes_of(whole, draw))
        else:
            found = _bounded(mutation.changed(config, draw), small)
            with zipfile.ZipFile(path, "w") as archive:
                for name, content in members.items():
                    archive.writestr(name, json.dumps(found) if name == "config.json" else content)
        word, loaded = refused(lambda: saved_model.load(path))
        if raw and loaded and not equal(loaded.get_weights(), weights):
            raise Wrong("a damaged file was loaded with other weights")
        return word

    return case


def _bounded(value: Any, small: dict[int, int]) -> Any:
    if isinstance(value, dict):
        return {key: _bounded(part, small) for key, part in value.items()}
    if isinstance(value, list):
        return [_bounded(part, small) for part in value[:64]]
    if isinstance(value, int) and not isinstance(value, bool):
        return value % 64 if abs(value) > 64 else value
    return value
