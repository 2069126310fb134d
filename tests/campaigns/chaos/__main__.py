"""Kill a pipeline again and again, and compare what it makes with undisturbed runs."""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.campaigns.chaos import bucket
from tests.campaigns.chaos.campaign import BrokenPromiseError, Campaign, Side, Struck
from tests.campaigns.chaos.places import Places, Reader
from tests.campaigns.chaos.plan import STAGES

# What every campaign runs: seconds of training, with everything that has a state of its own to lose.
COMMON = (
    *("training.patience=6", 'training.augmentation=["flip"]', "training.precision=float32", "model.dropout=0.2"),
    *("training.checkpoint_seconds=0.5", "training.checkpoint_share=1"),
    *("evaluation.resamples=100", "evaluation.margin=0.3", "evaluation.slice_margin=0.9"),
    *('export.formats=["litert"]', "export.timing_seconds=0.02", "export.parity_examples=64"),
)
SETTINGS = {
    "digits": ("training.epochs=30",),
    "fashion_mnist": ("data.limit=4000", "training.epochs=16", 'evaluation.require=["accuracy>=0.5"]'),
}
SIDES = ("calm", "rough")
HEAD = "kill run  stage    moment                   signal  victim  ended in exit  went on"


def main() -> int:
    """Make the campaign; 0 if every promise was kept."""
    chosen = _options()
    faults: dict[str, int] = {}
    where = f"{chosen.storage}{' behind the faulty proxy' * chosen.faults}"
    print(f"seed {chosen.seed}: {chosen.kills} kills on {chosen.experiment}, storage {where}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    began, made = time.monotonic(), []
    try:
        with _sides(folder, chosen, faults) as (calm, rough, reader):
            sets = [word for value in (*COMMON, *SETTINGS[chosen.experiment]) for word in ("--set", value)]
            campaign = Campaign(calm, rough, reader, [chosen.experiment, *sets], chosen.seed)
            print(HEAD, flush=True)
            for struck in campaign.kills(chosen.kills, chosen.stages):
                made.append(struck)
                print(_row(len(made), struck), flush=True)
    except (BrokenPromiseError, TimeoutError, subprocess.TimeoutExpired) as error:
        print(f"error: {error}\nwhat there is: {folder}", file=sys.stderr)
        return 1
    print(_summary(made, campaign, faults, time.monotonic() - began))
    if chosen.keep:
        print(f"kept: {folder}")
    else:
        shutil.rmtree(folder)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.campaigns.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="draws all chance")
    parser.add_argument(
        "--stages", nargs="+", choices=STAGES, default=list(STAGES), help="where; everywhere without it"
    )
    parser.add_argument("--experiment", choices=SETTINGS, default="digits")
    parser.add_argument("--storage", choices=("local", "gs"), default="local")
    parser.add_argument("--faults", action="store_true", help="break the killed runs' connections to gs://")
    parser.add_argument("--keep", action="store_true", help="keep the folders")
    chosen = parser.parse_args()
    if chosen.kills < 1 or (chosen.faults and chosen.storage != "gs"):
        parser.error("--kills must be 1 at least" if chosen.kills < 1 else "--faults needs --storage gs")
    return chosen


@contextmanager
def _sides(folder: Path, chosen: argparse.Namespace, faults: dict[str, int]) -> Iterator[tuple[Side, Side, Reader]]:
    """The two chains, and who reads both.

    Args:
        faults: gets fault -> how often it was done.
    """
    for name in SIDES:
        (folder / name).mkdir()
    if chosen.storage == "local":
        calm, rough = (Side(folder / name, Places.below(str(folder / name / "places"))) for name in SIDES)
        yield calm, rough, Reader()
        return
    with bucket.opened(chosen.seed, chosen.faults) as opened:
        calm, rough = (
            Side(folder / name, Places.below(f"{bucket.PLACE}/{name}"), {bucket.VARIABLE: url})
            for name, url in zip(SIDES, (opened.url, opened.faulty), strict=True)
        )
        yield calm, rough, Reader(opened.url)
    faults.update(opened.counts)


def _row(number: int, struck: Struck) -> str:
    kill = struck.kill
    return (
        f"{number:4} {struck.run:3}  {kill.stage:8} {kill.moment!s:24} {kill.signal.name:7} {kill.victim:7} "
        f"{struck.seconds:6.1f} s {struck.code:4}  {struck.how}"
    )


def _summary(made: list[Struck], campaign: Campaign, faults: dict[str, int], seconds: float) -> str:
    counted = (
        Counter(struck.kill.stage for struck in made),
        Counter(struck.kill.signal.name for struck in made),
        Counter(struck.kill.victim for struck in made),
        Counter(struck.how for struck in made),
    )
    lines = [
        "",
        (
            f"{len(made)} kills in {campaign.runs} runs, {seconds:.0f} s in all "
            f"({campaign.missed} moments did not come and were drawn again)"
        ),
        *(", ".join(f"{name} {count}" for name, count in counter.items()) for counter in counted),
        *([f"network: {', '.join(f'{name} {count}' for name, count in faults.items())}"] if faults else []),
        f"the slowest run ended {max(struck.seconds for struck in made):.1f} s after its kill",
        f"versions: {', '.join(f'{version} (model {seen})' for version, seen in campaign.versions.items())}",
        "every run ended as the undisturbed one did: weights, metrics, verdict, data and registry are identical",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
