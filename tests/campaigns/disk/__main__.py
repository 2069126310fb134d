"""``python -m tests.campaigns.disk [PART...]``: one line for each case (or each whose name contains a PART).

Exits with 1 if any case shows a fault.
"""

import sys
import tempfile
from pathlib import Path

from tests.campaigns.disk import campaign, small_disk


def main(parts: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="suanli-disk-") as place:
        if reason := small_disk.refusal(Path(place) / "try"):
            print(f"skipped: {reason}")
            return 0
        first = campaign.undisturbed(Path(place) / "undisturbed")
        print(f"a run with space enough: champion {first.result['champion']}, at most {first.peak_kib} KiB in use")
        bad = met = 0
        for number, case in enumerate(campaign.CASES):
            if parts and not any(part in case.name for part in parts):
                continue
            outcome = campaign.meet(case, Path(place) / str(number), first)
            met += 1
            bad += bool(outcome.faults)
            print(f"{'FAULT' if outcome.faults else 'ok':5}  {case.name:36} {outcome.code}  {outcome.line}", flush=True)
            for fault in outcome.faults:
                print(f"       {fault}", flush=True)
        print(f"{met} full disks, {met - bad} as promised")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
