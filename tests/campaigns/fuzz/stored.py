"""What is stored: folders with a manifest, a registry, the files that say what a model is. Read whole, or refused."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

from components import registry, storage
from components.core.examples import PreparedData
from components.export.accepted import Verdict
from pipelines.runs.folder import Run
from tests.campaigns.fuzz import mutation
from tests.campaigns.fuzz.campaign import Case, Wrong, refused, same

CONTENT = {"a.txt": b"first", "deep/b.bin": bytes(range(256)) * 4, "empty": b""}


def written(folder: Path) -> dict[str, bytes]:
    """Name -> content of the files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def laid(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder with just these files."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def broken_json(content: bytes, draw: random.Random) -> bytes:
    """A JSON file with another value in it, or other bytes."""
    if draw.random() < 0.4:
        return mutation.bytes_of(content, draw)
    if draw.random() < 0.3:
        return mutation.text_of(content.decode(), draw).encode(errors="surrogatepass")
    return mutation.written(mutation.changed(json.loads(content), draw)).encode()


def disturbed(files: dict[str, bytes], draw: random.Random) -> dict[str, bytes]:
    """A stored folder after an accident, or after somebody's hand."""
    found = dict(files)
    for _ in range(draw.choice([1, 1, 2])):
        name = draw.choice(list(found) or ["a.txt"])
        match draw.randrange(6):
            case 0:
                found.pop(name, None)
            case 1:
                found[name] = mutation.bytes_of(found.get(name, b""), draw)
            case 2:
                found[f"more{draw.randrange(9)}"] = draw.randbytes(5)
            case 3:
                other = draw.choice(list(files))
                found[name] = files[other]
            case _:
                found[storage.MANIFEST] = broken_json(files[storage.MANIFEST], draw)
    return found


def manifests(folder: Path) -> Case:
    """Folders and their manifests: a download gives all that was written, or nothing and nowhere else."""
    storage.upload(laid(folder / "source", CONTENT), str(folder / "whole"))
    whole = written(folder / "whole")

    def case(draw: random.Random) -> str:
        place = str(laid(folder / "broken", disturbed(whole, draw)))
        target = folder / "outer/target"
        shutil.rmtree(folder / "outer", ignore_errors=True)
        target.mkdir(parents=True)
        names = draw.choice([None, None, None, ["a.txt"], ["deep/b.bin", "empty"]])
        word, _ = refused(lambda: storage.download(place, target, names), FileNotFoundError)
        expected = {name: CONTENT[name] for name in names or CONTENT} if word == "accepted" else {}
        if written(folder / "outer") != {f"target/{name}": content for name, content in expected.items()}:
            raise Wrong(f"{sorted(written(folder / 'outer'))} came of it")
        faults = refused(lambda: storage.verify(place), FileNotFoundError)[1]
        left = {name: content for name, content in written(folder / "broken").items() if name != storage.MANIFEST}
        if faults == [] and left != CONTENT:
            raise Wrong("verify finds no fault")
        refused(lambda: storage.is_complete(place))
        return word

    return case


def champions(folder: Path) -> Case:
    """A registry: its champion is the one that was published, or an error."""
    version = {
        "model.keras": b"model",
        registry.VERSION: b'{"task": "image_classification", "metrics": {"accuracy": 0.9}}',
    }
    place = folder / "registry"
    registry.publish(str(place), laid(folder / "made", version), "v1", "")
    storage.remove(str(folder / "made"))
    whole = written(place)
    kept = [name for name in whole if not name.startswith(".")]

    def case(draw: random.Random) -> str:
        files, name = dict(whole), draw.choice([registry.CHAMPION, registry.CHAMPION, *kept])
        if name.endswith(".json"):
            files[name] = broken_json(files[name], draw)
        else:
            files[name] = mutation.bytes_of(files[name], draw)
        if draw.random() < 0.1:
            del files[name]
        laid(place, files)
        word, found = refused(lambda: registry.champion(str(place)))
        state = refused(lambda: registry.state(str(place)))[1]
        if found:
            there = {name: content for name, content in written(found.folder).items() if name != storage.MANIFEST}
            if found.id != "v1" or state != "v1" or there != version:
                raise Wrong(f"the champion is {found.id}, with {sorted(there)}")
        if found:
            refused(lambda: found.version())
        refused(lambda: registry.publish(str(place), laid(folder / "made", version), "v2", "v0"))
        return word if found else "none" if word == "accepted" else word

    return case


VERDICT: dict[str, Any] = {
    "accepted": True,
    "champion": None,
    "reasons": ["accuracy is 0.91, required >= 0.9."],
    "metrics": {"accuracy": 0.91, "accuracy_low": 0.9, "accuracy_high": 0.92},
    "paired_metric": "accuracy",
    "slices": [{"name": "class a", "examples": 50, "counts": True, "metrics": {"accuracy": 0.9}}],
    "worst_slice": "class a",
    "settings": {"min_slice": 10},
    "data": "0123",
    "examples": 100,
}
INDEX: dict[str, Any] = {
    "directory": "/data/0123",
    "fingerprint": "0123",
    "task": "image_classification",
    "source": "digits",
    "splits": {"train": 100, "test": 20},
    "info": {"classes": ["a", "b"], "image_shape": [8, 8, 1], "encoding": "raw"},
}
RECORD: dict[str, Any] = {
    "id": "20261128-120000-digits",
    "status": "succeeded",
    "metrics": {"accuracy": 0.9},
    "steps": {"train": {"state": "succeeded", "seconds": 1.5}},
    "parameters": {"data": {"name": "digits"}},
}


def records(folder: Path) -> Case:
    """What one step leaves for the next, and a run's record."""
    readers = {
        "verdict.json": (VERDICT, lambda: Verdict.read(folder, "0123")),
        "examples.json": (INDEX, lambda: PreparedData.read(folder)),
        "run.json": (RECORD, lambda: Run(folder).read()),
    }

    def case(draw: random.Random) -> str:
        name = draw.choice(list(readers))
        given, read = readers[name]
        (folder / name).write_bytes(broken_json(json.dumps(given).encode(), draw))
        word, found = refused(read)
        if isinstance(found, Verdict) and not same(found.data, "0123"):
            raise Wrong("a verdict about other data was taken")
        return word

    return case
