"""``suanli new``: a data source, a model or a task of one's own, with its test, from a template or like another."""

import keyword
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from components.core.choices import Room

ROOMS: "dict[str, Room]" = {"data": "data", "model": "models", "task": "tasks"}
TEMPLATES = Path(__file__).parent / "templates"
# What the templates of a source and a model are for.
INTERFACE = "image -> classes"
DOCSTRING = re.compile(r'\A"""[^\n]*?("""|\n)')


def new(
    kind: Annotated[str, typer.Argument(metavar="data|model|task", help="What to add.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, which becomes the file's.")],
    like: Annotated[
        str, typer.Option(metavar="NAME", help="Start from a copy of this one instead of the template.")
    ] = "",
) -> None:
    """Write components/ROOM/NAME.py and its test, which passes as it is."""
    import importlib

    from components.core import choices, sources

    room = _room(kind)
    _check_name(name, like)
    if like:
        choices.load(room, like)
    file = Path("components", room, f"{name}.py")
    test = Path("tests", "components", room, f"test_{name}.py")
    _check_place(sources.ROOT, file, test)
    content, told = _content(room, kind, name, like), _about(room, name, like)
    _write(sources.ROOT / file, content)
    _write(sources.ROOT / test, _rendered(_test(kind, like, told), told))
    importlib.invalidate_caches()
    print(file, test, *_next(room, name, test), sep="\n")


def _room(kind: str) -> "Room":
    from components.core.choices import nearest
    from components.core.errors import StepError

    if kind not in ROOMS:
        raise StepError(f"there is no room for {kind!r}", advice=nearest(kind, ROOMS), kind="settings")
    return ROOMS[kind]


def _check_name(name: str, like: str) -> None:
    from components.core.errors import StepError
    from pipelines.experiment import NAME

    if not NAME.match(name) or keyword.iskeyword(name):
        raise StepError(
            f"{name!r} cannot be a file's name here",
            advice="use a-z, 0-9 and _, 40 at most, a letter first, and no word of Python's",
            kind="settings",
        )


def _check_place(root: Path, *files: Path) -> None:
    """Nothing is written over, and nothing into an installed package.

    Raises:
        StepError: there is such a file, or no checkout.
    """
    from components.core.errors import StepError

    if not (root / "tests").is_dir():
        raise StepError(
            f"{root} is no checkout: an installed package takes no files", advice="clone Suanli", kind="settings"
        )
    for file in files:
        if (root / file).exists():
            raise StepError(f"{file} is there already", advice="choose another name", kind="settings")


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _content(room: "Room", kind: str, name: str, like: str) -> str:
    """The file: a copy of another under its own name, or the template."""
    from components.core import sources

    if not like:
        return _rendered(f"{kind}.py.j2", {"name": name, "title": _title(name), "task": _task_of(INTERFACE)})
    text = (sources.ROOT / "components" / room / f"{like}.py").read_text("utf-8")
    text = DOCSTRING.sub(lambda found: f'"""{_title(name)}: a copy of {like}, to be changed.{found[1]}', text)
    return text.replace(f'Literal["{like}"] = "{like}"', f'Literal["{name}"] = "{name}"')


def _about(room: "Room", name: str, like: str) -> dict[str, Any]:
    """What the test's template is filled with: for a model, data that it can be built for."""
    from components.core import choices

    told: dict[str, Any] = {"name": name, "title": _title(name), "room": room, "task": _task_of(INTERFACE)}
    if room == "data" and like:
        told["settings"] = _ready(like) if hasattr(choices.load(room, like), "facts") else None
    if room == "models":
        told |= _data_for(like)
    return told


def _test(kind: str, like: str, told: dict[str, Any]) -> str:
    """The test's template: what needs settings, a download or data that are not here is only looked at."""
    whole = {"data": not like or told.get("settings"), "model": told.get("source"), "task": not like}
    return f"test_{kind}.py.j2" if whole[kind] else f"test_{kind}_listed.py.j2"


def _task_of(interface: str) -> str:
    from components.core import choices

    return next((name for name in choices.names("tasks") if _interface(name) == interface), "")


def _interface(task: str) -> str:
    from components.core import choices

    return str(choices.load("tasks", task).INTERFACE)


def _ready(source: str) -> Any:
    """A source's settings where it can be read as it is: it needs none of them and downloads nothing; else None."""
    from pydantic import ValidationError

    from components.core import choices
    from components.data import downloads

    try:
        return None if downloads(source) else choices.load("data", source).Settings()
    except ValidationError:
        return None


def _data_for(like: str) -> dict[str, str]:
    """A source and its task, for whose examples a model can be built as it is; empty where there is none."""
    from pydantic import ValidationError

    from components.core import choices
    from components.core.errors import StepError
    from components.tasks import expected_arguments

    model = None
    if like:
        try:
            model = choices.load("models", like).Settings()
        except ValidationError:
            return {}
    interface = model.interface if model else INTERFACE
    for source in choices.names("data"):
        settings, known = _ready(source), getattr(choices.load("data", source), "facts", None)
        if settings is None or known is None or _interface(settings.task) != interface:
            continue
        try:
            expected_arguments(settings.task, model, settings, known(settings))
        except StepError:
            continue
        if not (model and settings.input_shape() and model.problem(settings.input_shape())):
            return {"source": source, "task": settings.task}
    return {}


def _rendered(template: str, values: dict[str, Any]) -> str:
    import jinja2

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string((TEMPLATES / template).read_text("utf-8")).render(values)


def _write(path: Path, text: str) -> None:
    from components.core.errors import StepError
    from components.core.files import write_atomically

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    except OSError as error:
        raise StepError(f"cannot write {path}: {error.strerror}", kind="settings") from None


def _next(room: "Room", name: str, test: Path) -> list[str]:
    """What to do now."""
    lines = ["", "Next: make the file yours, and its test say what it must do. To try both as they are:"]
    lines.append(f"  pytest {test}")
    setting = {"data": f"data.name={name}", "models": f"model.name={name}"}.get(room, "")
    if setting and (known := _experiment_for(setting)):
        lines.append(f"  suanli run {known} --set {setting} --set training.epochs=1")
    return [*lines, "docs/extending.md has a worked example."]


def _experiment_for(setting: str) -> str:
    """An experiment that takes a new source or model in place of its own and downloads nothing, or an empty string."""
    from components.core.errors import StepError
    from components.data import downloads
    from pipelines import experiment

    for name in experiment.names():
        known = experiment.load(name).experiment
        try:
            changed = known.with_settings([setting])
        except StepError:
            continue
        if not downloads(changed.data.name) and changed.data.task == type(changed.data).model_fields["task"].default:
            return name
    return ""
