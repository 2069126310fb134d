"""``suanli new``: a new experiment, data source, model or task, from a template or as a copy."""

import ast
import importlib
import re
import shlex
from pathlib import Path
from typing import Annotated, Any

import jinja2
import typer
from pydantic import ValidationError

from components.core import choices, project, sources
from components.core.choices import NOUNS, Room, nearest
from components.core.errors import StepError
from components.core.files import write_atomically
from components.data import downloads
from components.tasks import expected_arguments
from pipelines import experiment

ROOMS: dict[str, Room] = {"data": "data", "model": "models", "task": "tasks"}
EXPERIMENT = "experiment"
TEMPLATES = Path(__file__).parent / "templates"
# What the templates of a source and a model are for.
INTERFACE = "image -> classes"
DOCSTRING = re.compile(r'\A"""[^\n]*?("""|\n)')


def new(
    kind: Annotated[str, typer.Argument(metavar="experiment|data|model|task", help="What to add.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, and that of its file or folder.")],
    like: Annotated[str, typer.Option(metavar="NAME", help="Copy this one instead of using the template.")] = "",
) -> None:
    """Write an experiment, data source, model or task from a template or another, with a test that passes."""
    if kind not in (kinds := (EXPERIMENT, *ROOMS)):
        raise StepError(f"cannot add a {kind!r}", advice=nearest(kind, kinds), kind="settings")
    if not project.is_name(name):
        raise StepError(f"{name!r} cannot be the name of a module", advice=choices.VALID, kind="settings")
    original = _original(kind, like) if like else None
    own = project.own()
    root = own or sources.ROOT
    room = ROOMS.get(kind, "experiments")
    folder = Path(room) if own else Path("pipelines" if kind == EXPERIMENT else "components", room)
    target = folder / (name if kind == "task" else f"{name}.py")
    test = Path("tests", f"test_{kind}_{name}.py") if own else Path("tests/components", room, f"test_{name}.py")
    # All experiments are tested alike.
    tests = [] if kind == EXPERIMENT else [test]
    _check_free(kind, name, root, target, *tests)
    values = {"own": bool(own), **_values(kind, name, like)}
    contents = _copies(target, name, original) if original else _templates(kind, target, values)
    if own and kind == "task":
        contents = {file: _relative(text, name) for file, text in contents.items()}
    contents |= {file: rendered(_test(kind, like, values), values) for file in tests}
    for file, text in contents.items():
        write(root / file, text)
    importlib.invalidate_caches()
    # In a project, whole paths: one stands in any of its folders.
    print(
        *(root / file if own else file for file in contents),
        *_next(kind, name, [root / test] if own else tests),
        sep="\n",
    )


def _original(kind: str, like: str) -> Path:
    """The file of what is copied.

    Raises:
        StepError: there is no such choice.
    """
    module = experiment.module(like) if kind == EXPERIMENT else choices.load(ROOMS[kind], like)
    return Path(str(module.__file__))


def _check_free(kind: str, name: str, root: Path, *paths: Path) -> None:
    """Nothing is overwritten, no name is taken twice, and nothing is written into an installed package.

    Raises:
        StepError: something is there already, or this is neither a project nor a checkout.
    """
    if root == sources.ROOT and not (root / "tests").is_dir():
        raise StepError(
            f"{root} is not a checkout: an installed package takes no files",
            advice="make a project of your own: suanli init FOLDER",
            kind="settings",
        )
    for path in paths:
        if (root / path).exists():
            raise StepError(f"{path} exists already", advice="choose another name", kind="settings")
    taken = experiment.names() if kind == EXPERIMENT else choices.names(ROOMS[kind])
    if name in taken:
        noun = kind if kind == EXPERIMENT else NOUNS[ROOMS[kind]]
        raise StepError(f"{name!r} is the name of another {noun}", advice="choose another name", kind="settings")


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _templates(kind: str, target: Path, values: dict[str, Any]) -> dict[Path, str]:
    """File -> content, from the templates."""
    if kind != "task":
        return {target: rendered(f"{kind}.py.j2", values)}
    names = sorted(path.name for path in (TEMPLATES / "task").glob("*.j2"))
    return {target / name.removesuffix(".j2"): rendered(f"task/{name}", values) for name in names}


def _copies(target: Path, name: str, original: Path) -> dict[Path, str]:
    """File -> content, copied from another choice under its own name."""
    package = original.name == "__init__.py"
    like = original.parent.name if package else original.stem
    copies = {}
    for path in sorted(original.parent.glob("*.py")) if package else [original]:
        text = path.read_text("utf-8")
        if target.suffix != ".py":
            text = text.replace(f"components.tasks.{like}", f"components.tasks.{name}")
        text = text.replace(f'Literal["{like}"] = "{like}"', f'Literal["{name}"] = "{name}"')
        if path == original:
            text = DOCSTRING.sub(lambda match: f'"""{_title(name)}: a copy of {like}, to be changed.{match[1]}', text)
        copies[target / path.name if package else target] = text
    return copies


def _relative(text: str, task: str) -> str:
    """A task's file with relative imports of its own package, the ones at its top last, where isort wants them."""
    own = re.compile(rf"^( *)from components\.tasks\.(?:{task})(\.\w+)? import (\([^)]*\)|.*)\n", re.MULTILINE)
    top = sorted(f"from {match[2] or '.'} import {match[3]}\n" for match in own.finditer(text) if not match[1])
    text = own.sub(lambda match: match[1] and f"{match[1]}from {match[2] or '.'} import {match[3]}\n", text)
    imports = [node.end_lineno for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)]
    if top and imports:
        lines = text.splitlines(keepends=True)
        lines.insert(imports[-1] or 0, "\n" + "".join(top))
        text = "".join(lines)
    return re.sub(r"\n{4,}", "\n\n\n", text)


def _values(kind: str, name: str, like: str) -> dict[str, Any]:
    """What the templates are filled with: for a model's test, data that it can be built for."""
    values: dict[str, Any] = {"name": name, "title": _title(name)}
    if kind == EXPERIMENT:
        return values
    values["task"] = _task_of(INTERFACE)
    if kind == "data" and like:
        values["settings"] = _ready(like) if hasattr(choices.load("data", like), "facts") else None
    if kind == "model":
        values |= _data_for(like)
    return values


def _test(kind: str, like: str, values: dict[str, Any]) -> str:
    """The test's template: one that reads or builds, or, if that needs settings or a download, one that only loads."""
    whole = {"data": not like or values.get("settings"), "model": values.get("source"), "task": not like}
    return f"test_{kind}.py.j2" if whole[kind] else f"test_{kind}_listed.py.j2"


def _task_of(interface: str) -> str:
    return next((name for name in choices.names("tasks") if _interface(name) == interface), "")


def _interface(task: str) -> str:
    return str(choices.load("tasks", task).INTERFACE)


def _ready(source: str) -> Any:
    """A source's settings if it can be read as it is, without settings or a download; else None."""
    try:
        return None if downloads(source) else choices.load("data", source).Settings()
    except ValidationError:
        return None


def _data_for(like: str) -> dict[str, str]:
    """A source and its task, for whose examples the model can be built as it is; empty if there is none."""
    model = None
    if like:
        try:
            model = choices.load("models", like).Settings()
        except ValidationError:
            return {}
    interface = model.interface if model else INTERFACE
    for source in choices.names("data"):
        settings, facts = _ready(source), getattr(choices.load("data", source), "facts", None)
        if settings is None or facts is None or _interface(settings.task) != interface:
            continue
        try:
            expected_arguments(settings.task, model, settings, facts(settings))
        except StepError:
            continue
        if not (model and settings.input_shape() and model.problem(settings.input_shape())):
            return {"source": source, "task": settings.task}
    return {}


def rendered(template: str, values: dict[str, Any]) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string((TEMPLATES / template).read_text("utf-8")).render(values)


def write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    except OSError as error:
        raise StepError(f"cannot write {path}: {error.strerror}", kind="settings") from None


def _next(kind: str, name: str, tests: list[Path]) -> list[str]:
    """What to do now."""
    if kind == EXPERIMENT:
        return ["", "Next: change it to your needs. To try it as it is:", f"  suanli run {name}"]
    lines = ["", "Next: change it to your needs, and its test with it. To try both as they are:"]
    lines += [f"  pytest {shlex.quote(str(test))}" for test in tests]
    setting = {"data": f"data.name={name}", "model": f"model.name={name}"}.get(kind, "")
    if setting and (known := _experiment_for(setting)):
        lines.append(f"  suanli run {known} --set {setting} --set training.epochs=1")
    return [*lines, "docs/extending.md has a worked example."]


def _experiment_for(setting: str) -> str:
    """An experiment that takes a new source or model in place of its own without a download, or an empty string."""
    for name in experiment.names():
        try:
            changed = experiment.load(name).experiment.with_settings([setting])
        except StepError:
            continue
        if not downloads(changed.data.name) and changed.data.task == type(changed.data).model_fields["task"].default:
            return name
    return ""
