"""One line of a check: what was looked at, what was found, and what to do about it."""

from typing import Literal, NamedTuple

Level = Literal["ok", "warn", "fail"]


class Finding(NamedTuple):
    """What a check found; ``fail`` where what was asked for would not work."""

    level: Level
    what: str
    found: str
    advice: str = ""
