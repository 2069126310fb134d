"""Equal and nearly equal examples across splits: what is the same content, what is counted, what is said of it."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from places import Place

from components.core.examples import PreparedData
from components.data import DataSettings, Example, Source, image_folder, text_folder
from components.prepare import near_duplicates
from components.prepare.filling import Filled, fill
from components.prepare.logic import prepare
from components.tasks._images import near_duplicates as pictures
from components.tasks.contract import Task

SPLIT = (0.6, 0.1, 0.3)


def scenes(count: int, side: int = 64, seed: int = 0) -> list[np.ndarray]:
    """Pictures as different as photographs: shapes of several sizes, uint8 [side, side, 3]."""
    generator = np.random.default_rng(seed)

    def layer(cells: int) -> np.ndarray:
        noise = Image.fromarray(generator.integers(0, 256, (cells, cells, 3)).astype(np.uint8))
        return np.asarray(noise.resize((side, side), Image.Resampling.BICUBIC)) / (1 + cells / 8)

    mixed = [layer(4) + layer(8) + layer(16) for _ in range(count)]
    return [(255 * (one - one.min()) / np.ptp(one)).astype(np.uint8) for one in mixed]


def file(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def filled(folder: Path, task: str, info: dict[str, Any], splits: dict[str, list[Example]], **settings: Any) -> Filled:
    data = Source(info, {name: lambda given=given: iter(given) for name, given in splits.items()})
    chosen = DataSettings(name="digits", task=task, split=SPLIT, **settings)
    return fill(data, chosen, Task(task, info).examples, folder)


def of_pictures(folder: Path, splits: dict[str, list[bytes]], **settings: Any) -> Filled:
    info = {"classes": ["a", "b"], "image_shape": [32, 32, 3], "encoding": "encoded"}
    examples: dict[str, list[Example]] = {
        split: [
            {"image": one, "label": number % 2, "name": f"group{number // 20:02}.png"}
            for number, one in enumerate(given)
        ]
        for split, given in splits.items()
    }
    return filled(folder, "image_classification", info, examples, **settings)


def of_texts(folder: Path, splits: dict[str, list[str]]) -> Filled:
    info = {"classes": ["a", "b"], "sources": ["s"], "longest": 10**6}
    examples: dict[str, list[Example]] = {
        split: [{"text": one, "label": number % 2} for number, one in enumerate(given)]
        for split, given in splits.items()
    }
    return filled(folder, "text_classification", info, examples)


def frames(groups: int, count: int) -> list[bytes]:
    """Frames of scenes: noise and brightness differ."""
    generator = np.random.default_rng(1)
    noisy = [
        scene + generator.normal(0, 4, scene.shape) + number % 5 for scene in scenes(groups) for number in range(count)
    ]
    return [file(np.clip(one, 0, 255).astype(np.uint8)) for one in noisy]


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {"compress_level": 9}), ("BMP", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("PPM", {})],
)
def test_the_same_pixels_in_another_file_are_a_duplicate(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    made = scenes(24)
    test, train = [file(one, compress_level=1) for one in made], [file(one, kind, **options) for one in made[:15]]
    found = of_pictures(tmp_path, {"test": test, "train": [*train, *map(file, scenes(9, seed=5))]})
    assert found.duplicates == {"test": 0, "train": 15}
    assert found.near["test"].count == 0


def test_pictures_of_other_sizes_with_the_same_bytes_are_no_duplicates(tmp_path: Path) -> None:
    (made,) = scenes(1)
    found = of_pictures(tmp_path, {"test": [file(made)], "train": [file(made.reshape(32, 128, 3))]})
    assert found.duplicates == {"test": 0, "train": 0}


@pytest.mark.parametrize(
    ("text", "copy"),
    [
        ("Good  film.\r\n\tSee it! ", "good film. see it!"),
        ("caf\u00e9 Fin\u0065\u0301", "cafe\u0301 fin\u00e9"),
        ("STRASSE\u00a0 weit", "straße weit"),
    ],
)
def test_texts_that_differ_in_white_space_case_or_composition_are_duplicates(
    text: str, copy: str, tmp_path: Path
) -> None:
    assert of_texts(tmp_path, {"test": [text, "else"], "train": [copy, "other"]}).duplicates == {"test": 0, "train": 1}


def test_frames_of_one_scene_are_counted_and_groups_keep_them_apart(tmp_path: Path) -> None:
    given = {"train": frames(40, 20)}
    found = of_pictures(tmp_path, given).near
    assert found["test"].count == found["test"].compared > 200
    assert found["validation"].count == found["validation"].compared > 50
    apart = of_pictures(tmp_path, given, group="(group[0-9]+)").near
    assert apart["test"].count == apart["validation"].count == 0 and apart["test"].compared > 100


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_the_same_pictures_in_another_quality_or_size_are_counted(quality: int, tmp_path: Path) -> None:
    made = scenes(300)
    train = [file(one, "JPEG", quality=85) for one in made]
    test = [file(one, "JPEG", quality=quality) for one in made[:24]]
    test += [file(np.asarray(Image.fromarray(one).resize((48, 48)))) for one in made[:12]]
    new = [file(one) for one in scenes(30, seed=2)]
    found = of_pictures(tmp_path, {"test": [*test, *new], "validation": [file(scenes(1, seed=3)[0])], "train": train})
    assert (found.near["test"].count, found.near["test"].compared) == (36, 66)
    assert found.near["validation"].count == 0
    assert [split for split, *_ in found.pairs] == ["test"] * near_duplicates.SHOWN
    assert all(train.index(trained) == test.index(held_out) % 24 for _, held_out, trained in found.pairs)


def test_different_pictures_are_none(tmp_path: Path) -> None:
    found = of_pictures(tmp_path, {"train": [file(one) for one in scenes(400)]})
    assert {split: one.count for split, one in found.near.items()} == {"test": 0, "validation": 0}
    noise = np.random.default_rng(0).integers(0, 256, (300, 224, 224, 1)).astype(np.uint8)
    sketches = {name: near_duplicates.Sketches() for name in ("train", "test")}
    for name, part in (("train", noise[:200]), ("test", noise[200:])):
        sketches[name].add(pictures.sketch(part), np.arange(len(part), dtype=np.uint64), pictures)
    assert near_duplicates.find(sketches, pictures)["test"].count == 0


class Counted:
    """The comparison of pictures, counting how many are compared."""

    def __init__(self) -> None:
        self.compared = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(pictures, name)

    def is_plausible(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        self.compared += len(one)
        return pictures.is_plausible(one, other)


@pytest.mark.parametrize("alike", ["plain", "one scene"])
def test_the_cost_is_linear_where_all_pictures_look_the_same(alike: str) -> None:
    counts = []
    for size in (2000, 4000):
        generator, (scene,) = np.random.default_rng(0), scenes(1, side=8)
        base = np.full((size, 8, 8, 1), 90.0) if alike == "plain" else np.repeat(scene[None, ..., :1], size, axis=0)
        made = np.clip(base + generator.integers(0, 2, base.shape), 0, 255).astype(np.uint8)
        splits, likeness = {"train": near_duplicates.Sketches(), "test": near_duplicates.Sketches()}, Counted()
        for name, part in (("train", made[::2]), ("test", made[1::2])):
            splits[name].add(pictures.sketch(part), np.arange(len(part), dtype=np.uint64), likeness)
        found = near_duplicates.find(splits, likeness)["test"]
        assert found.count == (0 if alike == "plain" else size // 2)
        counts.append(likeness.compared)
    assert counts[1] <= 2 * counts[0] and counts[0] <= 1000 * pictures.TABLES * 2 * near_duplicates.NEIGHBOURS


def test_more_than_are_held_are_sampled_by_their_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_duplicates, "MOST", 300)
    made = np.stack(scenes(1000, side=8))
    keys = np.random.default_rng(0).integers(0, 2**63, 1000).astype(np.uint64)
    splits = {"train": near_duplicates.Sketches(), "test": near_duplicates.Sketches()}
    for start in range(0, 1000, 100):
        splits["train"].add(pictures.sketch(made[start : start + 100]), keys[start : start + 100], pictures)
    splits["test"].add(pictures.sketch(made[:100]), keys[:100], pictures)
    found = near_duplicates.find(splits, pictures)["test"]
    assert len(splits["train"].rows()[0]) <= 300 and found.share in (0.25, 0.125)
    assert found.compared == 100 and 0.05 <= found.count / 100 <= 0.4
    assert found.line("test", "pictures").endswith(f"(of which {found.share:.2g} were compared)")
    assert all(keys[held] == keys[trained] for held, trained in found.pairs)


def test_texts_with_a_few_words_changed_are_counted(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    words = ["".join(map(chr, 97 + generator.integers(0, 26, 6))) for _ in range(500)]
    train = [" ".join(words[place] for place in generator.integers(0, 500, 80)) for _ in range(200)]
    test = [f"{text[:200]} and then {text[230:]}" for text in train[:30]]
    new = [" ".join(words[place] for place in generator.integers(0, 500, 80)) for _ in range(30)]
    # Without spaces, too.
    train += [text.replace(" ", "").translate(str.maketrans({97 + n: 0x4E00 + n for n in range(26)})) for text in train]
    test += [f"{text[:100]}。{text[104:]}" for text in train[200:230]]
    found = of_texts(tmp_path, {"test": [*test, *new], "validation": ["another text"], "train": train})
    # An estimate: some nine tenths of the stretches are the same.
    assert 57 <= found.near["test"].count <= 60 and found.near["test"].compared == 90


@pytest.mark.parametrize("source", ["image_folder", "text_folder"])
def test_the_report_the_run_and_what_evaluate_reads_tell_them(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = scenes(60)
    for number in range(60):
        alone = "validation" if number < 24 else "train" if number < 51 else "test"
        for split in ("train", "test") if number < 15 else (alone,):
            folder = tmp_path / "in" / split / "ab"[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            if source == "image_folder":
                (folder / f"{number}.jpg").write_bytes(
                    file(made[number], "JPEG", quality=95 if split == "test" else 70)
                )
            else:
                words = " ".join(str((number + 1) * place * 7919) for place in range(1, 200))
                (folder / f"{number}.txt").write_text(f"{words} {split}")
    settings: Any = {"folder": str(tmp_path / "in")}
    data = (
        image_folder.Settings(**settings, image_shape=(32, 32, 3))
        if source == "image_folder"
        else text_folder.Settings(**settings)
    )
    examples, report = Place(str(tmp_path / "examples")), Place(str(tmp_path / "report"))
    prepare(data.parameters(), str(tmp_path / "store"), "", examples, report)
    told = f"15 of 24 test {'pictures' if source == 'image_folder' else 'texts'} are nearly equal to one of train's"
    assert f"{told}: set data.group, so that" in capsys.readouterr().out
    assert PreparedData.read(examples.path).info["warnings"][0].startswith(told)
    assert examples.metadata["near_duplicates"] >= 15
    page = Path(report.path).read_text()
    assert told.replace("'", "&#39;") in page and "Nearly equal across splits" in page
