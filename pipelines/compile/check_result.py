"""The result of one check: its subject, what was found, and what to do about it."""

from typing import Literal, NamedTuple

Level = Literal["ok", "warn", "fail"]


class CheckResult(NamedTuple):
    """What a check found; ``fail`` if the request would not work."""

    level: Level
    what: str
    found: str
    advice: str = ""
