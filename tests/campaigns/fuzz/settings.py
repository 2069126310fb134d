"""Experiments: their sections, ``--set``, their files; and the files that a team declares things in."""

import random
from pathlib import Path
from typing import Any

from components.core import config
from pipelines import experiment
from pipelines.cluster.scheduling import declared
from pipelines.compile import targets
from pipelines.hardware import catalog
from tests.campaigns.fuzz import mutation
from tests.campaigns.fuzz.campaign import Case, Wrong, refused, same

NAMES = ("digits", "fashion_mnist", "cifar10", "imagenet")
SOURCE = (Path(experiment.__file__).parent / "experiments/digits.py").read_text()
TARGETS = """[prod]
image_prefix = "europe-docker.pkg.dev/team/suanli"
data_root = "gs://bucket/data"
checkpoint_root = "gs://bucket/checkpoints"
registry = "gs://bucket/registry"
host = "https://kubeflow.example.org"
autopilot = false
step_cpu = "2"
step_memory = "8Gi"
step_node_selector = { pool = "small" }

[dev]
image_prefix = "suanli"
data_root = "/data"
checkpoint_root = "/checkpoints"
registry = "/registry"
"""
SCHEDULES = """[nightly]
experiment = "digits"
accelerator = "l4:spot,l4"
target = "prod"
cron = "0 3 * * 1-5"
timezone = "Europe/Berlin"
set = ["training.epochs=3"]
retries = 2

[often]
experiment = "digits"
accelerator = "cpu-16"
target = "prod"
every = "6h"
overlap = 2
"""
ACCELERATORS = """[l4]
on_demand = 0.61
machine_type = "g2-standard-12"

[vision]
like = "l4x2"
labels = { team = "vision" }
"""


def sections(_: Path) -> Case:
    """Sections as the pipeline's parameters have them; an accepted one means the same when it is read again."""
    given = {name: experiment.load(name).experiment.sections() for name in NAMES}

    def case(draw: random.Random) -> str:
        chosen = dict(draw.choice(list(given.values())))
        for _ in range(draw.choice([1, 1, 2, 3])):
            name = draw.choice(list(chosen))
            found = mutation.changed(chosen[name], draw)
            chosen[name] = found if isinstance(found, dict) else chosen[name]
        word, made = refused(lambda: experiment.Experiment.from_sections(chosen))
        if made and experiment.Experiment.from_sections(made.sections()) != made:
            raise Wrong(f"it reads another experiment from what it wrote: {made.sections()}")
        for name, values in chosen.items():
            task = str(chosen["data"].get("task", ""))
            _, section = refused(lambda name=name, values=values, task=task: config.validated(name, values, task))
            if section and not same(
                section.parameters(), config.validated(name, section.parameters(), task).parameters()
            ):
                raise Wrong(f"the section {name} changes when it is read again")
        return word

    return case


def changes(_: Path) -> Case:
    """``--set`` strings."""
    given = [experiment.load(name) for name in NAMES]
    paths = [
        f"{section}.{key}"
        for named in given
        for section, values in named.experiment.sections().items()
        for key in values
    ]

    def one(draw: random.Random) -> str:
        path, text = draw.choice(paths), mutation.written(mutation.value(draw))
        match draw.randrange(5):
            case 0:
                return mutation.text_of(f"{path}={text}", draw)
            case 1:
                return f"{path}{draw.choice(['', '.x', '.0', '..', '.'])}={text}"
            case 2:
                return f"{path}={draw.choice(mutation.TEXTS)}"
            case 3:
                return f"{path}={text[: draw.randrange(len(text) + 1)]}"
            case _:
                return f"{path}={text}"

    def case(draw: random.Random) -> str:
        named, wanted = draw.choice(given), [one(draw) for _ in range(draw.choice([1, 1, 2, 3]))]
        word, made = refused(lambda: named.with_settings(wanted))
        if made and experiment.Experiment.from_sections(made.experiment.sections()) != made.experiment:
            raise Wrong(f"it reads another experiment from what it wrote, after {wanted}")
        return word

    return case


def files(folder: Path) -> Case:
    """An experiment's file."""
    path = folder / "mine.py"
    lines = [
        "raise SystemExit(3)",
        "import no_such_module",
        "EXPERIMENT = 1",
        "1/0",
        "def f(:",
    ]

    def case(draw: random.Random) -> str:
        text = mutation.text_of(SOURCE, draw)
        if draw.random() < 0.2:
            text += f"\n{draw.choice(lines)}\n"
        path.write_bytes(mutation.bytes_of(text.encode(errors="replace"), draw) if draw.random() < 0.2 else
                         text.encode(errors="surrogatepass"))  # fmt: skip
        word, named = refused(lambda: experiment.load(str(path)))
        if named and not isinstance(named.experiment, experiment.Experiment):
            raise Wrong("it defines no experiment")
        return word

    return case


def _declared(name: str, text: str, load: Any, check: Any) -> Any:
    """A kind of a file that is read from a folder."""

    def opened(folder: Path) -> Case:
        def case(draw: random.Random) -> str:
            broken = mutation.text_of(text, draw)
            content = broken.encode(errors="surrogatepass")
            (folder / name).write_bytes(mutation.bytes_of(content, draw) if draw.random() < 0.3 else content)
            word, found = refused(lambda: load(folder))
            if found is not None:
                check(found)
            return word

        return case

    return opened


def _whole_target(target: targets.Target) -> None:
    if targets.Target(**target.model_dump()) != target:
        raise Wrong("a target changes when it is read again")


def _whole_schedules(found: Any) -> None:
    for one in found.values():
        one.trigger(one.timezone or "UTC")
        if declared.Declared(**one.model_dump()) != one:
            raise Wrong("a schedule changes when it is read again")


def _whole_rows(found: Any) -> None:
    if "l4" not in found:
        raise Wrong("a row of ours is gone")


target_files = _declared(targets.FILE, TARGETS, lambda folder: targets.load("prod", folder), _whole_target)
schedule_files = _declared(declared.FILE, SCHEDULES, declared.load, _whole_schedules)
accelerator_files = _declared("accelerators.toml", ACCELERATORS, catalog.load, _whole_rows)
