"""``suanli settings``: every setting of an experiment, its meaning, type, default and allowed values.

All of it is read from the sections' classes and their docstrings, so there is no second list to keep current.
"""

import inspect
import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from components.core import choices
from components.core.choices import Room, nearest
from components.core.config import SECTIONS, Section, section_class
from components.core.errors import StepError
from pipelines.cli.options import AsJson
from pipelines.cli.output import print_json

ROOMS: dict[str, Room] = {"data": "data", "model": "models", "evaluation": "tasks"}
ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n(?:        .*|))*)", re.MULTILINE)
WORDS = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false"}
BOUNDS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
}

Name = Annotated[
    str,
    typer.Argument(
        metavar="[NAME]", help="A section, a choice or a setting: training, data.split, or a data source by its name."
    ),
]
Markdown = Annotated[bool, typer.Option("--markdown", help="Print docs/settings.md.")]


@dataclass(frozen=True)
class Setting:
    """A setting as it is shown.

    Attributes:
        name: for ``--set``, such as ``data.folder``.
        choice: the data source, model or task that has it; empty if all have.
        kind: its type and the values that are allowed.
        default: as it would be typed; ``required`` if it has none.
        meaning: from the docstring; empty if the name says it all.
    """

    name: str
    choice: str
    kind: str
    default: str
    meaning: str


def settings(name: Name = "", markdown: Markdown = False, as_json: AsJson = False) -> None:
    """Print the settings of an experiment: meaning, type, default and allowed values."""
    matches = matching(name)
    if markdown:
        print(page(matches))
    elif as_json:
        print_json([vars(setting) for setting in matches])
    else:
        show(matches)


def show(matches: Iterable[Setting]) -> None:
    """Print settings for people: a heading for each choice, a line or two for each setting."""
    heading = None
    for setting in matches:
        section = setting.name.partition(".")[0]
        if heading != (heading := (section, setting.choice)):
            print(f"\n{section}{f', {setting.choice}' if setting.choice else ''}")
        default = "required" if setting.default == "required" else f"default {setting.default or 'empty'}"
        print(f"  {setting.name}  {setting.kind}; {default}")
        width = min(shutil.get_terminal_size().columns, 120)
        if setting.meaning:
            print(textwrap.fill(setting.meaning, width, initial_indent="      ", subsequent_indent="      "))


def page(matches: Iterable[Setting]) -> str:
    """``docs/settings.md``."""
    lines = ["# Settings", "", *HEAD]
    heading = None
    for each in matches:
        section = each.name.partition(".")[0]
        if heading != (heading := (section, each.choice)):
            of_choice = f"`{section}.name={each.choice}`" if section != "evaluation" else f"task `{each.choice}`"
            lines += ["", f"## {section}{f': {of_choice}' if each.choice else ''}", ""]
            lines += ["| setting | type | default | meaning |", "| --- | --- | --- | --- |"]
        cells = (f"`{each.name}`", each.kind, f"`{each.default}`" if each.default else "empty", each.meaning)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


HEAD = (
    "Every setting, written by `suanli settings --markdown > docs/settings.md` from the classes that check them.",
    "`suanli settings NAME` shows a part of it: a section (`training`), a choice (`model.NAME`) or one",
    "setting (`data.split`). Change one with `--set training.epochs=3`, or in an experiment's file.",
)


def matching(name: str) -> list[Setting]:
    """The settings that a name means: all, those of a section, of a choice, or one wherever it is.

    Raises:
        StepError: it means none; the advice has the nearest.
    """
    section = name.partition(".")[0]
    known = [each for one in ([section] if section in SECTIONS else SECTIONS) for each in of_section(one)]
    matches = [each for each in known if not name or name in _aliases(each)]
    # What a choice has is what all have, and its own.
    of_choice = {(each.name.partition(".")[0], each.choice) for each in matches if each.choice} if matches else set()
    if len(of_choice) == 1 and name.rpartition(".")[2] == (only := next(iter(of_choice)))[1]:
        matches = [each for each in known if each.name.startswith(f"{only[0]}.") and each.choice in ("", only[1])]
    if not matches:
        names = {alias for each in known for alias in _aliases(each) if alias.count(".") == name.count(".")}
        raise StepError(f"no setting {name!r}", advice=nearest(name, names), kind="settings")
    return matches


def _aliases(setting: Setting) -> set[str]:
    section, _, key = setting.name.partition(".")
    own = (
        {setting.choice, f"{section}.{setting.choice}", f"{section}.{setting.choice}.{key}"}
        if setting.choice
        else set()
    )
    return {section, key, setting.name, *own}


def of_section(section: str) -> list[Setting]:
    """The settings of a section: first what all its choices have, then each choice's own."""
    room = ROOMS.get(section)
    if room is None:
        return _settings(section, "", section_class(section, {}))
    names = choices.names(room)
    each = {name: _settings(section, name, choices.load(room, name).Settings) for name in names}
    count = dict[Setting, int]()
    for setting in (replace(setting, choice="") for settings in each.values() for setting in settings):
        count[setting] = count.get(setting, 0) + 1
    common = [setting for setting, number in count.items() if number == len(names)]
    own = [one for settings in each.values() for one in settings if replace(one, choice="") not in common]
    noun = "file" if room != "tasks" else "folder"
    chosen = Setting(f"{section}.name", "", ", ".join(names), "required", f"the {noun} in components/{room}")
    return [*([chosen] if room != "tasks" else ()), *common, *(one for one in own if one.name != chosen.name)]


def _settings(section: str, choice: str, cls: type[Section]) -> list[Setting]:
    meanings: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        meanings |= attributes(base)
    schema = cls.model_json_schema()
    return [
        Setting(
            f"{section}.{name}",
            choice,
            _kind(schema["properties"][name], schema.get("$defs", {})),
            "required" if field.is_required() else typed(field.get_default(call_default_factory=True)),
            meanings.get(name, ""),
        )
        for name, field in cls.model_fields.items()
        if name != "schema_version"
    ]


def attributes(cls: type) -> dict[str, str]:
    """Name -> meaning of the attributes in a class's own docstring."""
    text = inspect.cleandoc(cls.__dict__.get("__doc__") or "")
    _, _, listed = text.partition("Attributes:\n")
    return {name: " ".join(words.split()).replace("``", "`") for name, words in ATTRIBUTE.findall(listed)}


def typed(value: Any) -> str:
    """A value as ``--set`` takes it."""
    if isinstance(value, tuple | list):
        return ",".join(map(typed, value))
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _kind(schema: Any, definitions: Mapping[str, Any]) -> str:
    """A field's type and bounds in words, from its JSON schema, which is true where anything is allowed."""
    if not isinstance(schema, Mapping):
        return "anything"
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return " or ".join(_kind(each, definitions) for each in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(map(typed, schema.get("enum", [schema.get("const")])))
    bounds = [text.format(typed(schema[key])) for key, text in BOUNDS.items() if key in schema]
    match schema.get("type"):
        case "array" if "prefixItems" in schema:
            parts = [_kind(each, definitions) for each in schema["prefixItems"]]
            words = f"{len(parts)} times {parts[0]}" if len(set(parts)) == 1 else "; ".join(parts)
            return f"{words} (separated by commas)"
        case "array":
            return f"list of: {_kind(schema.get('items', {}), definitions)}"
        case "object" if not isinstance(schema.get("additionalProperties"), Mapping):
            return "text"
        case "object":
            return f"table name:{_kind(schema.get('additionalProperties', {}), definitions)}"
    return ", ".join([WORDS.get(str(schema.get("type")), "empty"), *bounds])
