"""schedules.toml is read strictly, and what a schedule was made from survives in its description."""

from pathlib import Path

import pytest

from components.core.errors import StepError
from pipelines.cluster.scheduling import declared, trigger

NIGHTLY = """
[nightly]
experiment = "digits"
accelerator = "l4"
target = "prod"
cron = "0 3 * * *"
"""


def written(folder: Path, text: str) -> Path:
    (folder / declared.FILE).write_text(text, encoding="utf-8")
    return folder


def test_a_file_declares_schedules_by_name(tmp_path: Path) -> None:
    weekly = """
[weekly]
experiment = "fashion_mnist"
accelerator = "v5e-4:spot,v5e-4"
target = "prod"
every = "7d"
set = ["training.epochs=3"]
spot = true
paused = true
overlap = 2
catch_up = true
retries = 2
shared_memory = "16Gi"
"""
    read = declared.load(written(tmp_path, NIGHTLY + weekly))
    assert list(read) == ["nightly", "weekly"]
    assert read["nightly"].trigger("UTC").six == "0 0 3 * * *"
    assert (read["nightly"].overlap, read["nightly"].catch_up, read["nightly"].paused) == (1, False, False)
    assert read["weekly"].trigger("UTC").interval_s == 7 * 86400
    assert read["weekly"].set == ["training.epochs=3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (NIGHTLY + 'acclerator = "l4"', "[nightly] has an unknown key acclerator; did you mean accelerator?"),
        (NIGHTLY.replace("experiment =", "experimnt ="), "[nightly] has an unknown key experimnt"),
        (NIGHTLY.replace('target = "prod"', ""), "[nightly] lacks target; write [nightly] with experiment"),
        (NIGHTLY.replace('cron = "0 3 * * *"', ""), "[nightly] neither a cron nor an interval is given"),
        (NIGHTLY + 'every = "6h"', "[nightly] both a cron and an interval are given"),
        (NIGHTLY.replace("0 3 * * *", "0 0 3 * * *"), '[nightly] cron "0 0 3 * * *": has six fields; give five'),
        (NIGHTLY.replace("0 3 * * *", "0 3 31 2 *"), "such a date never comes"),
        (NIGHTLY + 'timezone = "Mars/Olympus"', "[nightly] unknown time zone 'Mars/Olympus'"),
        (NIGHTLY + 'spot = "yes"', "[nightly] spot: "),
        (NIGHTLY + "paused = 1", "[nightly] paused: "),
        (NIGHTLY + "overlap = 11", "[nightly] overlap: should be less than or equal to 10, not 11"),
        (NIGHTLY + "overlap = 0", "[nightly] overlap: should be greater than or equal to 1"),
        (NIGHTLY + 'set = "training.epochs=3"', "[nightly] set: should be a valid list"),
        (NIGHTLY + "set = [3]", "[nightly] set.0: should be a valid string, not 3"),
        (NIGHTLY + 'experiment = "x"', "Cannot overwrite a value"),
        (NIGHTLY.replace("[nightly]", "[Nightly run]"), "Expected"),
        (NIGHTLY.replace("[nightly]", "[Nightly]"), "[Nightly] 'Nightly' is not a name for a schedule"),
        ("nightly = 3", "nightly is not a table"),
        ("[nightly", "schedules.toml: "),
        (NIGHTLY.replace("0 3 * * *", "0 3 * * *\udce9").encode("utf-8", "surrogateescape").decode("latin-1"), "cron"),
    ],
)
def test_each_mistake_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(StepError) as caught:
        declared.load(written(tmp_path, text))
    assert message in str(caught.value)
    assert declared.FILE in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_missing_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"there is no schedules\.toml in /.*; write \[nightly\]"):
        declared.load(tmp_path)
    (tmp_path / declared.FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(StepError, match=r"schedules\.toml"):
        declared.load(tmp_path)


def test_a_memo_survives_in_a_description() -> None:
    made = declared.Declared(
        experiment="digits",
        accelerator="l4",
        target="prod",
        cron="0 3 * * *",
        set=["model.name=cnn"],
        timezone="Asia/Shanghai",
    )
    kept = declared.Memo(declared=made, server_timezone="Asia/Tokyo", replaces=("one", "two"), then="paused")
    assert declared.read_memo(f"digits on l4, every day\n{kept.line()}\nand more") == kept
    assert kept.trigger.six == "0 0 4 * * *"


@pytest.mark.parametrize(
    "description", ["", "a schedule", "suanli ", "suanli {}", 'suanli {"declared": 3}', "suanli no"]
)
def test_a_description_without_a_memo_has_none(description: str) -> None:
    assert declared.read_memo(description) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("30m", 1800), ("6h", 21600), ("7d", 604800), ("2w", 1209600), ("1h30m", 5400), ("6H", 21600)],
)
def test_intervals_are_seconds(text: str, seconds: int) -> None:
    assert trigger.seconds(text) == seconds


@pytest.mark.parametrize("text", ["6", "h", "6 h", "-6h", "1.5h", "30s", "0h", "1000000w", "６h", "6y", "6h!"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    with pytest.raises(StepError, match="--every"):
        trigger.seconds(text)


@pytest.mark.parametrize(
    ("cron", "every", "zone", "message"),
    [
        ("", "", "", "neither a cron nor an interval is given; give --cron"),
        ("0 3 * * *", "6h", "", "both a cron and an interval are given"),
        ("", "6h", "Asia/Tokyo", "an interval has no time zone"),
        ("0 3 * * *", "", "Europe/Berlin", "their distance changes with daylight saving time"),
        ("0 3 * * *", "", "Europe/Berln", "did you mean Europe/Berlin?"),
    ],
)
def test_a_trigger_is_one_thing_that_the_servers_clock_can_keep(cron: str, every: str, zone: str, message: str) -> None:
    with pytest.raises(StepError) as caught:
        trigger.trigger(cron, every, zone)
    assert message in str(caught.value)
