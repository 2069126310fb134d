"""``suanli new``: a new data source, model or task with its test, from a template or as a copy."""

import importlib
import keyword
import re
from pathlib import Path
from typing import Annotated, Any

import jinja2
import typer
from pydantic import ValidationError

from components.core import choices, sources
from components.core.choices import Room, nearest
from components.core.errors import StepError
from components.core.files import write_atomically
from components.data import downloads
from components.tasks import expected_arguments
from pipelines import experiment

ROOMS: dict[str, Room] = {"data": "data", "model": "models", "task": "tasks"}
TEMPLATES = Path(__file__).parent / "templates"
# What the templates of a source and a model are for.
INTERFACE = "image -> classes"
DOCSTRING = re.compile(r'\A"""[^\n]*?("""|\n)')


def new(
    kind: Annotated[str, typer.Argument(metavar="data|model|task", help="What to add.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, and that of its file or folder.")],
    like: Annotated[str, typer.Option(metavar="NAME", help="Copy this one instead of using the template.")] = "",
) -> None:
    """Write a data source, a model or a task from a template or another, and a test that passes as it is."""
    if kind not in ROOMS:
        raise StepError(f"cannot add a {kind!r}", advice=nearest(kind, ROOMS), kind="settings")
    room = ROOMS[kind]
    _check_name(name)
    if like:
        choices.load(room, like)
    folder, test = Path("components", room), Path("tests", "components", room, f"test_{name}.py")
    target = folder / (name if room == "tasks" else f"{name}.py")
    _check_place(sources.ROOT, target, test)
    values = _values(room, name, like)
    files = _copies(folder, name, like) if like else _templates(kind, target, values)
    for file, content in {**files, test: _rendered(_test(kind, like, values), values)}.items():
        _write(sources.ROOT / file, content)
    importlib.invalidate_caches()
    print(*files, test, *_next(room, name, test), sep="\n")


def _check_name(name: str) -> None:
    if not experiment.NAME.match(name) or keyword.iskeyword(name):
        raise StepError(
            f"{name!r} cannot be the name of a module",
            advice="use a-z, 0-9 and _, at most 40 characters, a letter first, and no Python keyword",
            kind="settings",
        )


def _check_place(root: Path, *paths: Path) -> None:
    """Nothing is overwritten, and nothing is written into an installed package.

    Raises:
        StepError: something is there already, or this is not a checkout.
    """
    if not (root / "tests").is_dir():
        raise StepError(
            f"{root} is not a checkout: an installed package takes no files", advice="clone Suanli", kind="settings"
        )
    for path in paths:
        if (root / path).exists():
            raise StepError(f"{path} exists already", advice="choose another name", kind="settings")


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _templates(kind: str, target: Path, values: dict[str, Any]) -> dict[Path, str]:
    """File -> content, from the templates."""
    if kind != "task":
        return {target: _rendered(f"{kind}.py.j2", values)}
    names = sorted(path.name for path in (TEMPLATES / "task").glob("*.j2"))
    return {target / name.removesuffix(".j2"): _rendered(f"task/{name}", values) for name in names}


def _copies(folder: Path, name: str, like: str) -> dict[Path, str]:
    """File -> content, copied from another choice under its own name."""
    file = sources.ROOT / folder / f"{like}.py"
    originals = [file] if file.is_file() else sorted((sources.ROOT / folder / like).glob("*.py"))
    copies = {}
    for path in originals:
        text = path.read_text("utf-8").replace(f"components.tasks.{like}", f"components.tasks.{name}")
        text = text.replace(f'Literal["{like}"] = "{like}"', f'Literal["{name}"] = "{name}"')
        if path.name in (f"{like}.py", "__init__.py"):
            text = DOCSTRING.sub(lambda match: f'"""{_title(name)}: a copy of {like}, to be changed.{match[1]}', text)
        copies[folder / (f"{name}.py" if path == file else f"{name}/{path.name}")] = text
    return copies


def _values(room: Room, name: str, like: str) -> dict[str, Any]:
    """What the templates are filled with: for a model's test, data that it can be built for."""
    values: dict[str, Any] = {"name": name, "title": _title(name), "room": room, "task": _task_of(INTERFACE)}
    if room == "data" and like:
        values["settings"] = _ready(like) if hasattr(choices.load(room, like), "facts") else None
    if room == "models":
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


def _rendered(template: str, values: dict[str, Any]) -> str:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string((TEMPLATES / template).read_text("utf-8")).render(values)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    except OSError as error:
        raise StepError(f"cannot write {path}: {error.strerror}", kind="settings") from None


def _next(room: Room, name: str, test: Path) -> list[str]:
    """What to do now."""
    lines = ["", "Next: change it to your needs, and its test with it. To try both as they are:"]
    lines.append(f"  pytest {test}")
    setting = {"data": f"data.name={name}", "models": f"model.name={name}"}.get(room, "")
    if setting and (known := _experiment_for(setting)):
        lines.append(f"  suanli run {known} --set {setting} --set training.epochs=1")
    return [*lines, "docs/extending.md has a worked example."]


def _experiment_for(setting: str) -> str:
    """An experiment that takes a new source or model in place of its own without a download, or an empty string."""
    for name in experiment.names():
        known = experiment.load(name).experiment
        try:
            changed = known.with_settings([setting])
        except StepError:
            continue
        if not downloads(changed.data.name) and changed.data.task == type(changed.data).model_fields["task"].default:
            return name
    return ""
