"""Cases, the clock that they run against, and what counts as a fault of ours."""

import contextlib
import io
import json
import os
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.core.errors import StepError

MOST_S = 5.0
# The machine may be shared: what was longer by the clock is tried again, and then counts by the processor's time.
CLOCK_S = 60.0


class Hang(BaseException):  # no code of ours may catch it
    """A case took longer than it may."""


class Wrong(AssertionError):  # noqa: N818
    """A broken input was taken for a whole one."""


# What a kind's case found: "refused", or a word for what was accepted.
Case = Callable[[random.Random], str]


@dataclass(frozen=True)
class Kind:
    """Inputs of one kind.

    Attributes:
        name: as it is counted.
        share: how many of 10,000 cases it gets.
        open: gives a case's function, in a folder of its own; what it needs to have loaded is loaded there.
    """

    name: str
    share: int
    open: Callable[[Path], Case]


@dataclass
class Tally:
    """What came of a campaign."""

    outcomes: dict[str, Counter[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def cases(self) -> int:
        return sum(counter.total() for counter in self.outcomes.values())


@contextmanager
def limited(seconds: float, processor: bool = False) -> Iterator[None]:
    """Raise Hang in this thread when the time is over.

    Args:
        processor: also after MOST_S seconds of this process's work.
    """

    def over(*_: object) -> None:
        raise Hang

    timers = {signal.SIGALRM: (signal.ITIMER_REAL, seconds), signal.SIGPROF: (signal.ITIMER_PROF, MOST_S * processor)}
    before = {number: signal.signal(number, over) for number in timers}
    for timer, after in timers.values():
        signal.setitimer(timer, after)
    try:
        yield
    finally:
        for timer, _ in timers.values():
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def refused(action: Callable[[], Any], *others: type[Exception]) -> tuple[str, Any]:
    """What an action gives, or ``refused`` with None where it raises what it may: StepError, in one line."""
    try:
        return "accepted", action()
    except StepError as error:
        if "\n" in str(error) or not str(error).strip():
            raise Wrong(f"its error is not one line: {error!s:.300}") from None
        return "refused", None
    except others:
        return "refused", None


def run(kinds: list[Kind], cases: int, seed: int, folder: Path, say: Callable[[str], None]) -> Tally:
    """Run a campaign: the same seed makes the same cases."""
    tally, shares = Tally(), sum(kind.share for kind in kinds)
    for kind in kinds:
        began = time.monotonic()
        counter = tally.outcomes.setdefault(kind.name, Counter())
        place = folder / kind.name
        place.mkdir(parents=True)
        case = kind.open(place)
        for number in range(-(-cases * kind.share // shares)):
            counter[_judged(kind, case, f"{seed}/{kind.name}/{number}", tally)] += 1
        found = ", ".join(f"{count:,} {word}" for word, count in sorted(counter.items()))
        say(f"{kind.name:16} {counter.total():6,}  {found} ({time.monotonic() - began:.0f} s)")
    return tally


def _judged(kind: Kind, case: Case, name: str, tally: Tally) -> str:
    """Run one case; one that took too long by the clock is run once more, against the processor's time."""
    for attempt in (1, 2):
        began = time.monotonic()
        heard = io.StringIO()
        try:
            with limited(MOST_S if attempt == 1 else CLOCK_S, attempt == 2), contextlib.redirect_stdout(heard):
                return case(random.Random(name))
        except Hang:
            if attempt == 2:
                tally.faults.append(f"{name}: longer than {MOST_S} s")
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{Path(where.filename).name}:{where.lineno}"
            tally.faults.append(f"{name}: {type(error).__name__}: {str(error)[:300]!r} at {place}")
            if os.environ.get("SUANLI_DEBUG"):
                traceback.print_exc()
            return "fault"
        finally:
            tally.slowest = max(tally.slowest, time.monotonic() - began)
    return "fault"


def same(one: Any, two: Any) -> bool:
    """Whether two values are the same JSON."""
    return json.dumps(one, sort_keys=True, default=str) == json.dumps(two, sort_keys=True, default=str)
