"""Jobs: counted from an experiment, its profile taken from the cache by what it stands on."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.core.errors import StepError
from components.core.sources import ROOT
from components.data import Facts, digits, expected_counts, fractions
from pipelines import experiment
from pipelines.hardware.planner import jobs, profiles

BEANS = ("data.name=tfds", "data.dataset=beans", "data.image_shape=[32,32,3]")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory, cache_home: Path) -> Path:
    """A folder of this file's own, since a test damages it, with what other tests have counted."""
    jobs.from_experiment(named(), cache=cache_home / "profiles")
    folder = tmp_path_factory.mktemp("profiles")
    for path in (cache_home / "profiles").glob("*.json"):
        shutil.copy(path, folder)
    return folder


def named(*settings: str, name: str = "digits") -> experiment.NamedExperiment:
    return experiment.load(name).with_settings(settings)


def test_a_job_has_the_numbers_of_its_experiment(cache: Path) -> None:
    job = jobs.from_experiment(named(), cache=cache)
    assert (job.examples, job.steps, job.epochs, job.batch_size) == (1258, 39, 10, 32)
    assert (job.profile.input_shape, job.profile.input_dtype, job.input_bytes) == ((8, 8, 1), "uint8", 64)
    assert job.validation_steps == 6
    assert job.total_bytes == 1258 * 64


def test_the_second_time_it_comes_from_the_cache(cache: Path) -> None:
    first = jobs.from_experiment(named(), cache=cache)
    files, began = set(cache.iterdir()), time.perf_counter()
    assert jobs.from_experiment(named("training.epochs=3"), cache=cache).profile == first.profile
    assert time.perf_counter() - began < 1
    assert set(cache.iterdir()) == files


def test_a_damaged_cache_file_is_counted_again(cache: Path) -> None:
    first = jobs.from_experiment(named(), cache=cache)
    for path in cache.iterdir():
        path.write_text(path.read_text()[:100])
    assert jobs.from_experiment(named(), cache=cache).profile == first.profile


@pytest.mark.parametrize("change", [{"arguments": {"length": 9}}, {"model": {"name": "cnn", "dense": 65}}])
def test_a_profile_is_named_by_all_that_it_stands_on(change: dict[str, object]) -> None:
    request = {"model": {"name": "cnn", "dense": 64}, "arguments": {"length": 8}}
    assert profiles.key({**request, **change}) != profiles.key(request)


@pytest.mark.parametrize(
    ("settings", "given", "message"),
    [
        (BEANS, {}, "the number of examples of tfds .*--examples"),
        (BEANS, {"examples": 1000}, "how many classes tfds has .*--units"),
        (BEANS, {"units": 3}, "the number of examples of tfds .*--examples"),
        (("training.batch_size=2000",), {}, "2000 is more than the 1258 training examples"),
    ],
)
def test_what_cannot_be_known_is_asked_for(
    cache: Path, settings: tuple[str, ...], given: dict[str, int], message: str
) -> None:
    with pytest.raises(StepError, match=message):
        jobs.from_experiment(named(*settings), cache=cache, **given)


def test_what_is_given_plans_a_source_that_cannot_tell(cache: Path) -> None:
    job = jobs.from_experiment(named(*BEANS), examples=1000, units=3, cache=cache)
    assert (job.examples, job.input_bytes) == (800, 32 * 32 * 3)


def test_a_model_that_does_not_build_is_one_line(cache: Path) -> None:
    section = named().experiment.model.parameters() | {"filters": [4] * 9}
    with pytest.raises(StepError, match="model cnn: ValueError") as caught:
        profiles.profile(section, {"input_shape": [8, 8, 1], "units": 10}, cache)
    assert "\n" not in str(caught.value)


def test_planning_the_catalog_needs_no_heavy_package(cache: Path) -> None:
    jobs.from_experiment(named(), cache=cache)
    script = f"""
import sys
from pathlib import Path
from pipelines import experiment
from pipelines.hardware import catalog
from pipelines.hardware.planner import jobs, plan
answer = plan.plan(jobs.from_experiment(experiment.load("digits"), cache=Path({str(cache)!r})), catalog.load().values())
assert len(answer.lines) > 30
heavy = {{"numpy", "tensorflow", "keras", "jax", "sklearn", "kfp"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_given_is_laid_over_what_the_source_tells() -> None:
    beans, told = named(*BEANS).experiment.data, digits.Settings()
    assert jobs._facts(beans, None, None) is None
    assert jobs._facts(beans, None, 3) == Facts({}, 3)
    assert jobs._facts(told, 50, None) == Facts({"train": 50}, 10)
    assert jobs._facts(told, 50, 3) == Facts({"train": 50}, 3)


@pytest.mark.parametrize(
    ("split", "official", "limit", "counts"),
    [
        ((0.7, 0.1, 0.2), {"train": 1000}, 0, (700, 100)),
        ((0.9, 0.1, 0.0), {"train": 1000, "test": 50}, 0, (900, 100)),
        ((0.6, 0.2, 0.2), {"train": 1000, "test": 50}, 0, (750, 250)),
        ((0.8, 0.1, 0.1), {"train": 1000, "validation": 70, "test": 50}, 0, (1000, 70)),
        ((0.9, 0.1, 0.0), {"train": 1000, "test": 50}, 100, (90, 10)),
    ],
)
def test_the_splits_are_cut_as_prepare_cuts_them(
    split: tuple[float, float, float], official: dict[str, int], limit: int, counts: tuple[int, int]
) -> None:
    data = digits.Settings(split=split, limit=limit)
    sizes = expected_counts(data, official, set(official))
    assert (sizes["train"], sizes["validation"]) == counts
    shares = fractions(split, set(official))
    assert counts[0] == round(min(official["train"], limit or 1000) * shares["train"])
