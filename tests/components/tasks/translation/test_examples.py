"""Sentence pairs on their way from a source to a network: TFDS, prepare with its report, and what is counted."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from places import Place

from components.core.errors import StepError
from components.core.examples import PreparedData
from components.data import parallel_text
from components.models import seq2seq_transformer as model
from components.prepare.logic import prepare
from components.tasks import translation as task
from components.tasks.contract import Task

PAIRS = [
    *((f"das Haus {number}", f"the house {number}") for number in range(40)),
    *((f"der Baum und das Haus {number}", f"the tree and the house {number}") for number in range(10)),
    ("x" * 60, "y"),
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("pairs")
    lines = [f"{source}\t{target}\n" for source, target in PAIRS]
    (root / "pairs.tsv").write_text("".join(lines) + "\n" + lines[0])
    settings = parallel_text.Settings(
        file=str(root / "pairs.tsv"), languages=("de", "en"), quarantine=1, split=(0.8, 0.1, 0.1)
    )
    place, report = Place(str(root / "examples")), Place(str(root / "report.html"))
    prepare(settings.parameters(), str(root / "data"), "", place, report)
    place.metadata["page"] = Path(report.path).read_text()
    return place


# TFDS asks protobuf, which finds that old-fashioned.
@pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")
def test_pairs_are_written_as_a_tfds_directory_and_read_again(prepared: Place) -> None:
    import tensorflow_datasets as tfds

    data = PreparedData.read(prepared.path)
    assert data.task == "translation"
    assert data.info["languages"] == ["de", "en"]
    read = [
        (source.decode(), target.decode())
        for split in data.splits
        for batch in data.batches(split, 7).as_numpy_iterator()
        for source, target in zip(batch["source"], batch["target"], strict=True)
    ]
    assert sorted(read) == sorted([*PAIRS, PAIRS[0]])
    assert set(tfds.builder_from_directory(data.directory).info.features) == {"source", "target", "key"}


def test_a_source_is_in_one_split_only(prepared: Place) -> None:
    data = PreparedData.read(prepared.path)
    sources = [
        {source for batch in data.batches(split, 64).as_numpy_iterator() for source in batch["source"].tolist()}
        for split in data.splits
    ]
    assert len(sources) == 3
    assert sum(map(len, sources)) == len(set.union(*sources)) == len(PAIRS)


def test_the_report_of_prepare_tells_lengths_faults_and_uneven_pairs(prepared: Place) -> None:
    page = prepared.metadata["page"]
    assert "das Haus" in page
    assert "the line has 0 tabs" in page
    assert "Of 1 pairs one side is over 5 times as long" in page
    assert "95 of 100" in page


def test_pieces_are_counted_on_the_train_split(prepared: Place) -> None:
    settings = model.Settings(pieces=8, source_length=16, target_length=16)
    pieces = Task("translation", {}).training.arguments(settings, PreparedData.read(prepared.path))["pieces"]
    assert " house" in pieces
    assert len(pieces) <= 8
    assert len(task.expected_arguments(settings, None, None)["pieces"]) == 8
    assert Task("translation", {}).training.arguments(model.Settings(), PreparedData.read(prepared.path)) == {
        "pieces": []
    }


def test_a_network_too_short_for_most_sentences_is_refused(prepared: Place) -> None:
    with pytest.raises(StepError, match=r"model\.target_length: .* texts have more than 4 tokens; raise") as caught:
        Task("translation", {}).training.arguments(model.Settings(target_length=4), PreparedData.read(prepared.path))
    assert caught.value.kind == "settings"


def test_a_network_too_short_for_some_sentences_says_so(prepared: Place, capsys: pytest.CaptureFixture[str]) -> None:
    Task("translation", {}).training.arguments(model.Settings(source_length=14), PreparedData.read(prepared.path))
    assert "source texts are longer than model.source_length" in capsys.readouterr().out


# --- TensorFlow Datasets ---------------------------------------------------------------------------------------------


def reading(features: Any, *languages: str) -> Any:
    return Task("translation", {}).examples.from_tfds(features, SimpleNamespace(languages=languages))


def test_texts_named_by_language_are_pairs_in_either_direction() -> None:
    import tensorflow_datasets as tfds

    features = tfds.features.Translation(languages=("de", "en"))
    example = {"de": b"Haus", "en": b"house"}
    assert reading(features).info == {"languages": ["de", "en"]}
    assert reading(features).convert(example) == {"source": b"Haus", "target": b"house"}
    assert reading(features, "en", "de").convert(example) == {"source": b"house", "target": b"Haus"}


def test_one_feature_with_texts_in_several_languages_gives_those_that_are_named() -> None:
    import tensorflow_datasets as tfds

    several = tfds.features.TranslationVariableLanguages(languages=("de", "en", "fr"))
    features = tfds.features.FeaturesDict({"translations": several, "talk_name": tfds.features.Text()})
    taken = reading(features, "en", "de")
    texts = {"language": np.array([b"de", b"en"]), "translation": np.array([b"Haus", b"house"], object)}
    assert taken.convert({"translations": texts}) == {"source": b"house", "target": b"Haus"}
    without = {"language": np.array([b"en"]), "translation": np.array([b"house"], object)}
    assert Task("translation", {}).examples.to_records([taken.convert({"translations": without})]).faults == {
        0: "there is no de text"
    }


@pytest.mark.parametrize(
    ("kind", "languages", "said"),
    [
        ("pair", ("de", "fr"), "has no texts in 'fr'; data.languages may name de, en"),
        ("several", (), "name source and target"),
        ("several", ("de",), "name source and target"),
        ("none", (), "has text, where texts in two languages were expected"),
    ],
    ids=str,
)
def test_other_data_sets_are_refused(kind: str, languages: tuple[str, ...], said: str) -> None:
    import tensorflow_datasets as tfds

    several = tfds.features.TranslationVariableLanguages(languages=("de", "en", "fr"))
    features = {
        "pair": tfds.features.Translation(languages=("de", "en")),
        "several": tfds.features.FeaturesDict({"translations": several}),
        "none": tfds.features.FeaturesDict({"text": tfds.features.Text()}),
    }[kind]
    with pytest.raises(ValueError, match=said):
        reading(features, *languages)
