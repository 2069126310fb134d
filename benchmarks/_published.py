"""The published training speeds, what the planner says of each, and the fit of its efficiencies to them."""

import json
import math
import os
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from components.core.config import fingerprint
from components.profile import Profile
from pipelines.hardware import catalog
from pipelines.hardware.planner import profiles, throughput
from pipelines.hardware.planner.efficiency import EFFICIENCIES, Efficiency
from pipelines.hardware.planner.throughput import Chip

FILE = Path(__file__).with_name("published.toml")
GOAL = 0.35


@dataclass(frozen=True)
class Case:
    """A published speed.

    Attributes:
        network: its name in benchmarks/_networks.py.
        chip: its name in the catalog or the file.
        precision: Keras's dtype policy.
        devices: chips.
        batch: examples a chip.
        rate: examples a second of all chips.
        framework: what trained.
        source: where it was read.
        held: whether it is held out of the fit.
    """

    network: str
    chip: str
    precision: str
    devices: int
    batch: int
    rate: float
    framework: str
    source: str
    held: bool


@cache
def content() -> dict[str, Any]:
    """The file."""
    return tomllib.loads(FILE.read_text())


def cases(aside: bool = False) -> list[Case]:
    """Those of the file.

    Args:
        aside: the ones set aside instead of the others.
    """
    values = content()
    networks, chips = set(values["held_networks"]), set(values["held_chips"])
    return [
        Case(*case, group["framework"], group["source"], case[0] in networks or case[1] in chips)
        for group in values["published"]
        if ("set_aside" in group) == aside
        for case in group["cases"]
    ]


@cache
def chip(case: Case) -> Chip:
    """A case's chips, from the catalog or from the file."""
    facts = content()["chips"].get(case.chip)
    if facts is None:
        row = next(row for row in catalog.load().values() if row.chip == case.chip)
        made = Chip.from_row(row, case.precision)
        return replace(made, count=case.devices, link=row.link or 64e9)
    unit = "half" if case.precision != "float32" or facts["kind"] == "tpu" else "tf32" if "tf32" in facts else "float32"
    giga = 1e9
    return Chip(facts["kind"], unit, facts[unit] * 1e12, facts["bandwidth"] * giga, case.devices, facts["link"] * giga)


def predicted(case: Case, profile: Profile, efficiency: Efficiency | None = None) -> float:
    """Examples a second as the planner has them."""
    optimizer = "adam" if case.network.startswith(("bert", "vit")) else "sgd"
    batch = case.batch * case.devices
    return throughput.step(profile, case.precision, batch, chip(case), optimizer, efficiency).rate


def profiled(names: Iterable[str]) -> dict[str, Profile]:
    """The networks' profiles, counted once and kept with the planner's own."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    from benchmarks import _networks as networks

    found: dict[str, Profile] = {}
    request: dict[str, Any] = {"model": {"name": "cnn"}, "networks": Path(networks.__file__).read_text()}
    for name in dict.fromkeys(names):
        if name in networks.OURS:
            found[name] = profiles.profile(*networks.OURS[name])
            continue
        path = profiles.cache_folder() / f"network-{name}-{fingerprint(profiles.key(request))}.json"
        if not path.is_file():
            from components.profile import counting

            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(counting.profile(networks.BUILD[name], name).record()))
        found[name] = Profile.from_record(json.loads(path.read_text()))
    return found


@dataclass(frozen=True)
class Judged:
    """A case, or the middle one of several with the same network, chip, precision and devices."""

    case: Case
    rates: tuple[float, ...]
    predicted: float

    @property
    def ratio(self) -> float:
        """Predicted by published."""
        return self.predicted / self.case.rate


def judged(chosen: Iterable[Case], known: dict[str, Profile]) -> list[Judged]:
    """Each (network, chip, precision, devices) once, by its median."""
    groups: dict[tuple[str, str, str, int], list[Case]] = {}
    for case in chosen:
        groups.setdefault((case.network, case.chip, case.precision, case.devices), []).append(case)
    answer = []
    for group in groups.values():
        group.sort(key=lambda case: case.rate)
        middle = group[len(group) // 2]
        rates = tuple(case.rate for case in group)
        answer.append(Judged(middle, rates, predicted(middle, known[middle.network])))
    return answer


# --- the fit ---------------------------------------------------------------------------------------------------------

FITTED = (
    *(("conv", unit) for unit in ("float32", "tf32", "half")),
    *(("matmul", unit) for unit in ("float32", "tf32", "half")),
    *((name, "") for name in ("memory", "products_memory", "narrowing", "depthwise", "winograd")),
)
MOST = {"conv": 0.9, "matmul": 0.9, "memory": 0.9, "products_memory": 0.9, "narrowing": 0.3, "winograd": 2.5}


def fitted(chosen: Sequence[Case], known: dict[str, Profile]) -> Efficiency:
    """The GPU's efficiencies that come nearest to the cases: a pattern search on the sum of |log ratio|^1.5.

    Each network counts by the square root of its cases, so that the many ResNets do not decide alone.
    """
    now, step = EFFICIENCIES["gpu"], 0.16
    weights = {case.network: sum(other.network == case.network for other in chosen) ** -0.5 for case in chosen}

    def loss(efficiency: Efficiency) -> float:
        errors = ((case, math.log(predicted(case, known[case.network], efficiency) / case.rate)) for case in chosen)
        return sum(weights[case.network] * min(abs(error), 0.7) ** 1.5 for case, error in errors)

    best = loss(now)
    while step > 0.01:
        improved = False
        for name, unit in FITTED:
            for factor in (1 + step, 1 / (1 + step)):
                other = _changed(now, name, unit, factor)
                if (there := loss(other)) < best - 1e-4:
                    now, best, improved = other, there, True
        step = step if improved else step / 2
    return now


def _changed(efficiency: Efficiency, name: str, unit: str, factor: float) -> Efficiency:
    value = getattr(efficiency, name)
    if unit:
        return replace(efficiency, **{name: {**value, unit: min(MOST[name], value[unit] * factor)}})
    return replace(efficiency, **{name: min(MOST.get(name, 1.0), value * factor)})


def spread(answers: Sequence[Judged]) -> tuple[float, float]:
    """The median and the 90th percentile of how far off predictions are, as factors of at least 1."""
    factors = sorted(max(one.ratio, 1 / one.ratio) for one in answers)
    return median(factors), factors[min(len(factors) - 1, math.ceil(0.9 * len(factors)) - 1)]
