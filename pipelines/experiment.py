"""An experiment: the five sections in one frozen object, checked together before anything runs."""

import ast
import importlib
import importlib.util
import pkgutil
import re
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import ValidationError

from components.core import project, sources
from components.core.choices import VALID, nearest, refuse_double
from components.core.config import SECTIONS, Section, checked, from_text, one_line_error, section_class
from components.core.errors import StepError
from components.data import DataSettings, expected_test_size
from components.export.settings import ExportSettings
from components.models import ModelSettings
from components.steps import STEPS
from components.tasks import EvaluationSettings, misfit
from components.train.settings import TrainingSettings

NAME = project.NAME
# A file of pipelines/ with this line is a pipeline; so pipelines are listed without importing kfp.
DEFINED = re.compile(r"^\s*@dsl\.pipeline\(", re.MULTILINE)
PIPELINE = "training"


@dataclass(frozen=True)
class Experiment:
    """What to train and how. Raises StepError for sections that do not fit each other.

    Attributes:
        pipeline: the file in pipelines/ whose ``build`` puts the steps together.
    """

    data: DataSettings
    model: ModelSettings
    evaluation: EvaluationSettings
    training: TrainingSettings = field(default_factory=TrainingSettings)
    export: ExportSettings = field(default_factory=ExportSettings)
    pipeline: str = PIPELINE

    def __post_init__(self) -> None:
        if self.pipeline != PIPELINE and self.pipeline not in pipelines():
            raise StepError(
                f"unknown pipeline {self.pipeline!r}", advice=nearest(self.pipeline, pipelines()), kind="settings"
            )
        if self.training.patience and not self.data.split[1]:
            raise StepError(
                f"training.patience: {self.training.patience} epochs of patience need a validation split",
                advice="give data.split a second fraction above 0, or set training.patience=0",
                kind="settings",
            )
        expected = section_class("evaluation", {}, self.data.task)
        if type(self.evaluation) is not expected:
            raise StepError(
                f"evaluation: the task {self.data.task} needs {expected.__module__}.Settings, not "
                f"{type(self.evaluation).__module__}.{type(self.evaluation).__name__}",
                kind="settings",
            )
        if problem := misfit(self.data.task, self.model, self.training.augmentation, self.training.class_weight):
            raise StepError(problem, kind="settings")
        shape = self.data.input_shape()
        if shape and (problem := self.model.problem(shape)):
            raise StepError(f"model: {problem}", kind="settings")

    def sections(self) -> dict[str, Any]:
        """Section name -> plain JSON values, every field present: the pipeline's parameters."""
        return {name: getattr(self, name).parameters() for name in SECTIONS}

    def gate_problem(self) -> str:
        """Why the test split will be too small for the gate to accept any challenger, or an empty string."""
        examples = expected_test_size(self.data)
        return self.evaluation.too_few(examples) if examples else ""

    def with_settings(self, changes: Iterable[str]) -> "Experiment":
        """The experiment with settings such as ``training.epochs=3`` changed.

        A new ``data.name``, ``data.task`` or ``model.name`` starts from its own defaults and keeps the settings that it
        has in common with the old one.

        Raises:
            StepError: a setting is unknown, misspelt or impossible.
        """
        new: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
        for change in changes:
            (section, *path), value = _assignment(change)
            new[section] = _updated(new[section], path, value)
        return self.from_sections({name: self._section(name, new) for name in SECTIONS}, self.pipeline)

    def _section(self, name: str, new: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        present = getattr(self, name)
        task = str(new["data"].get("task", self.data.task))
        cls = section_class(name, {"name": getattr(present, "name", ""), **new[name]}, task)
        old = present.parameters()
        if cls is not type(present):
            common = cls.model_fields.keys() - {"name", "split"}
            old = {key: value for key, value in old.items() if key in common}
        values = {
            key: from_text(cls, key, value) if isinstance(value, str) else value for key, value in new[name].items()
        }
        return {**old, **values}

    @staticmethod
    def from_sections(sections: Mapping[str, Mapping[str, Any]], pipeline: str = PIPELINE) -> "Experiment":
        """The experiment of plain values, as ``sections`` returns them.

        Raises:
            StepError: the first thing wrong with them.
        """
        source = section_class("data", sections["data"])
        task = str(sections["data"].get("task", source.model_fields["task"].default))
        classes = {name: section_class(name, sections[name], task) for name in SECTIONS}
        valid = {name: checked(name, classes[name], sections[name]) for name in SECTIONS}
        return Experiment(**valid, pipeline=pipeline)


def _assignment(change: str) -> tuple[list[str], str]:
    """The path of a setting, and its value as it was typed.

    Raises:
        StepError: it is not an assignment, or the section is unknown.
    """
    path, equals, text = change.partition("=")
    parts = path.strip().split(".")
    if not equals or len(parts) < 2:
        raise StepError(
            f"--set {change!r}: write section.setting=value", advice="for example training.epochs=3", kind="settings"
        )
    if parts[0] not in SECTIONS:
        raise StepError(
            f"unknown section {parts[0]!r} in --set {change}", advice=nearest(parts[0], SECTIONS), kind="settings"
        )
    return parts, text


def _updated(values: Mapping[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    key, *rest = path
    if not rest:
        return {**values, key: value}
    inner = values.get(key)
    return {**values, key: _updated(inner if isinstance(inner, Mapping) else {}, rest, value)}


def pipelines() -> list[str]:
    """The names of the pipelines, sorted: the files of this folder that define one."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if DEFINED.search(path.read_text("utf-8")))


def steps_of(pipeline: str) -> list[str]:
    """The steps of a pipeline, in the order of ``STEPS``: those whose image it takes as a parameter."""
    text = (Path(__file__).parent / f"{pipeline}.py").read_text("utf-8")
    parameters = {node.arg for node in ast.walk(ast.parse(text)) if isinstance(node, ast.arg)}
    return [name for name in STEPS if f"{name}_image" in parameters]


def names() -> list[str]:
    """The experiments in pipelines/experiments and in the project's own folder, sorted."""
    return sorted({*_ours(), *project.names("experiments")})


def _ours() -> list[str]:
    package = importlib.import_module("pipelines.experiments")
    return [module.name for module in pkgutil.iter_modules(package.__path__)]


def title(name: str) -> str:
    """The first line of an experiment's docstring, which is read without running the file.

    Raises:
        StepError: the project and we both have it, or the file cannot be read as Python.
    """
    file = project.file("experiments", name)
    if file and name in _ours():
        refuse_double("experiment", name, file)
    path = file or Path(__file__).parent / "experiments" / f"{name}.py"
    with _errors_in(str(path)):
        text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return text.partition("\n")[0]


@dataclass(frozen=True)
class NamedExperiment:
    """An experiment with its name and its file's docstring."""

    name: str
    text: str
    experiment: Experiment

    def with_settings(self, changes: Iterable[str]) -> "NamedExperiment":
        """The same with settings changed."""
        return replace(self, experiment=self.experiment.with_settings(changes))


def load(which: str) -> NamedExperiment:
    """An experiment by its name, or by the path of a Python file that defines ``EXPERIMENT``.

    Raises:
        StepError: there is no such experiment, or the file does not define one.
    """
    loaded = module(which)
    name = loaded.__name__.rpartition(".")[2]
    experiment = getattr(loaded, "EXPERIMENT", None)
    if not isinstance(experiment, Experiment):
        raise StepError(f"{which} defines no EXPERIMENT", advice="write EXPERIMENT = Experiment(...)", kind="settings")
    return NamedExperiment(name, (loaded.__doc__ or "").strip(), experiment)


def module(which: str) -> ModuleType:
    """An experiment's module, by its name or path.

    Raises:
        StepError: there is no such experiment, or its file does not load.
    """
    if which.endswith(".py") or "/" in which:
        return _module_at(Path(which))
    if file := project.file("experiments", which):
        if which in _ours():
            refuse_double("experiment", which, file)
        return _module_at(file)
    if which in _ours():
        spec = importlib.util.find_spec(f"pipelines.experiments.{which}")
        with _errors_in(str(spec.origin) if spec else which):
            return importlib.import_module(f"pipelines.experiments.{which}")
    if unfit := project.unfit("experiments", which):
        raise StepError(f"{unfit}: {which!r} is not an experiment's name", advice=VALID, kind="settings")
    raise StepError(f"unknown experiment {which!r}", advice=nearest(which, names()), kind="settings")


def _module_at(path: Path) -> ModuleType:
    if not path.is_file() and not path.is_absolute():
        # Schedules are declared for the project, whatever folder they are checked from.
        path = project.folder() / path if (project.folder() / path).is_file() else path
    if not path.is_file():
        raise StepError(f"no such experiment file: {path}", kind="settings")
    if not NAME.match(path.stem):
        raise StepError(
            f"{path.name}: an experiment's file name is its model's name",
            advice="use a-z, 0-9 and _, 40 at most, a letter first",
            kind="settings",
        )
    spec = importlib.util.spec_from_file_location(f"{_package_of(path)}.{path.stem}", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    with _errors_in(str(path)):
        spec.loader.exec_module(module)
    return module


def _package_of(path: Path) -> str:
    """The package that an experiment's file is in, so that it can import its neighbours: the project's, or one for its
    folder alone.

    Raises:
        StepError: it belongs to another project than the one that is worked in.
    """
    folder, own = path.resolve().parent, project.own()
    theirs = project.nearest(folder)
    if theirs not in (None, sources.ROOT, project.root()):
        raise StepError(
            f"{path} belongs to the project {theirs}",
            advice=f"cd {theirs}, or set {project.VARIABLE}={theirs}",
            kind="settings",
        )
    inner = folder.relative_to(own).parts if own and folder.is_relative_to(own) else None
    if inner is None or "." in "".join(inner):
        return project.bind("suanli_experiments", folder)
    return ".".join([project.package(), *inner])


@contextmanager
def _errors_in(file: str) -> Iterator[None]:
    """Whatever is wrong with an experiment's file in one line, its settings as ``--set`` would tell it."""
    with project.errors_in(file):
        try:
            yield
        except ValidationError as error:
            if section := _section_of(error):
                raise one_line_error(*section, error).with_traceback(error.__traceback__) from None
            raise


def _section_of(error: ValidationError) -> tuple[str, type[Section]] | None:
    """Name and class of the section that was being built, which pydantic's error does not tell."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        built = frame.f_locals.get("self")
        for each in fields(Experiment):
            if isinstance(each.type, type) and issubclass(each.type, Section) and isinstance(built, each.type):
                return each.name, type(built)
    return None
