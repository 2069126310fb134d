"""A cron means the same to people, to croniter and to the server; what could not is refused in one line."""

from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
import robfig
from croniter import croniter
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from components.core.errors import StepError
from pipelines.cluster.scheduling import cron, cron_words, zones

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
YEARS = timedelta(days=60 * 365)


def _field(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    word = number.map(str) if not names else st.one_of(number.map(str), st.sampled_from(names))
    span = st.tuples(word, word).map("-".join)
    step = st.integers(1, 6 if high == 7 else high).map("/{}".format)
    part = st.one_of(word, span, st.tuples(span, step).map("".join), step.map("*{}".format))
    return st.one_of(st.just("*"), st.lists(part, min_size=1, max_size=3).map(",".join))


MONTHS = ("jan", "Feb", "MAR", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "Mon", "TUE", "wed", "thu", "fri", "sat")
EXPRESSIONS = st.tuples(_field(0, 59), _field(0, 23), _field(1, 31), _field(1, 12, MONTHS), _field(0, 7, DAYS)).map(
    " ".join
)


def _parsed(text: str) -> cron.Cron:
    try:
        return cron.parse(text)
    except StepError as error:
        # The two that are refused though croniter takes them; each has its own case below.
        assert "means both" in error.message or "never comes" in error.message
        assume(False)
        raise


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS, st.integers(0, 3 * 366 * 24 * 60))
def test_the_next_1000_times_on_the_server_are_those_of_croniter(text: str, minutes: int) -> None:
    after = NEW_YEAR + timedelta(minutes=minutes)
    read = _parsed(text)
    theirs = croniter(text, after, ret_type=datetime)
    expected = list(takewhile(lambda when: when < after + YEARS, (theirs.get_next() for _ in range(1000))))
    on_server = list(islice(robfig.times(read.six, UTC, after), len(expected)))
    assert on_server == expected
    assert cron.next_times(read, UTC, after, len(expected)) == expected


@settings(max_examples=30, deadline=None)
@given(EXPRESSIONS, st.sampled_from(["America/New_York", "Europe/Berlin", "Asia/Kolkata"]), st.integers(0, 366 * 24))
def test_the_next_times_in_a_zone_are_the_servers_there(text: str, name: str, hours: int) -> None:
    zone, after = ZoneInfo(name), NEW_YEAR + timedelta(hours=hours)
    read = _parsed(text)
    # 1,000 hours of a zone's clock can be half an hour off in UTC: the walk needs zones of whole hours.
    assume(name != "Asia/Kolkata" or read.minutes == (0,))
    shown = cron.next_times(read, zone, after, 400)
    if name == "Asia/Kolkata":
        shifted = [when.replace(tzinfo=UTC) for when in shown]
        start = after.astimezone(zone).replace(tzinfo=UTC)
        assert shifted == list(islice(robfig.times(read.six, UTC, start), 400))
    else:
        assert shown == list(islice(robfig.times(read.six, zone, after), 400))


@settings(max_examples=60, deadline=None)
@given(EXPRESSIONS, st.sampled_from(["Asia/Shanghai", "Asia/Kolkata", "America/Phoenix"]))
def test_a_cron_moved_to_the_servers_zone_is_due_at_the_same_instants(text: str, name: str) -> None:
    read = _parsed(text)
    try:
        moved = zones.on_server(read, name, "UTC", NEW_YEAR)
    except StepError as error:
        assert "another day" in error.message
        return
    assert cron.next_times(moved, UTC, NEW_YEAR, 300) == cron.next_times(read, ZoneInfo(name), NEW_YEAR, 300)


@settings(max_examples=100, deadline=None)
@given(EXPRESSIONS)
def test_what_the_server_is_given_reads_back_as_the_same_cron(text: str) -> None:
    read = _parsed(text)
    back = cron.parse_six(read.six)
    assert back and back.six == read.six
    assert cron_words.words(back) == cron_words.words(read)


# What robfig/cron 1.2.0 itself answered (cron.Parse(spec).Next, five zones, seconds since 1970).
ANSWERS = [
    ("UTC", 1767225600, "0 0 3 13 * 5", (1767322800, 1767927600, 1768273200, 1768532400, 1769137200, 1769742000)),
    ("UTC", 1767225600, "0 0 0 * 2 0,6", (1769904000, 1770422400, 1770508800, 1771027200, 1771113600)),
    ("UTC", 1767225600, "0 0 0 29 2 *", (1835395200, 1961625600, 2087856000, 2214086400, 2340316800)),
    ("UTC", 1767225600, "0 0 0 1-31 * 1", (1767312000, 1767398400, 1767484800, 1767571200, 1767657600)),
    ("UTC", 1767225600, "0 0 0 */2 * 1", (1767571200, 1768780800, 1770595200, 1771804800)),
    ("UTC", 1767225600, "15 10-20/5 22,23 31 * *", (1769897415, 1769897715, 1769898015, 1769901015)),
    # Five fields: every hour at minute 3.
    ("UTC", 1767225600, "0 3 * * *", (1767225780, 1767229380, 1767232980)),
    # The clock jumps over 02:30 on 8 March, and shows 01:30 twice on 1 November.
    ("America/New_York", 1772841600, "0 30 2 * * *", (1772868600, 1773037800, 1773124200, 1773210600)),
    ("America/New_York", 1793404800, "0 30 1 * * *", (1793424600, 1793511000, 1793514600, 1793601000, 1793687400)),
    ("Europe/Berlin", 1774656000, "0 0,30 2 * * *", (1774659600, 1774661400, 1774828800, 1774830600, 1774915200)),
    ("Europe/Berlin", 1792800000, "0 */30 2 * * *", (1792801800, 1792886400, 1792888200, 1792890000, 1792891800)),
]


@pytest.mark.parametrize(("name", "start", "spec", "answer"), ANSWERS, ids=[f"{row[2]} {row[0]}" for row in ANSWERS])
def test_the_second_reader_answers_as_the_servers_library_did(
    name: str, start: int, spec: str, answer: tuple[int, ...]
) -> None:
    after = datetime.fromtimestamp(start, UTC)
    assert [when.timestamp() for when in islice(robfig.times(spec, ZoneInfo(name), after), len(answer))] == list(answer)


@pytest.mark.parametrize(
    ("name", "start", "spec", "answer"),
    [row for row in ANSWERS if cron.parse_six(row[2])],
    ids=[f"{row[2]} {row[0]}" for row in ANSWERS if cron.parse_six(row[2])],
)
def test_our_times_are_those_of_the_servers_library(name: str, start: int, spec: str, answer: tuple[int, ...]) -> None:
    read = cron.parse_six(spec)
    assert read
    shown = cron.next_times(read, ZoneInfo(name), datetime.fromtimestamp(start, UTC), len(answer))
    assert [when.timestamp() for when in shown] == list(answer)


def test_three_in_the_morning_is_three_in_the_morning() -> None:
    read = cron.parse("0 3 * * *")
    assert read.six == "0 0 3 * * *"
    shown = cron.next_times(read, UTC, datetime(2026, 11, 24, 19, tzinfo=UTC))
    assert [f"{when:%d %H:%M}" for when in shown] == ["25 03:00", "26 03:00", "27 03:00", "28 03:00", "29 03:00"]


def test_a_time_that_the_change_back_repeats_is_still_due_after_its_first_passage() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    after = datetime(2026, 10, 25, 2, 45, tzinfo=berlin)  # summer time; at 03:00 it is 02:00 again
    shown = cron.next_times(cron.parse("30 2 * * *"), berlin, after, 2)
    assert [f"{when:%d %H:%M %Z}" for when in shown] == ["25 02:30 CET", "26 02:30 CET"]


@pytest.mark.parametrize(
    ("text", "six", "said"),
    [
        ("0 3 * * *", "0 0 3 * * *", "every day at 03:00"),
        ("  0   3 * * *  ", "0 0 3 * * *", "every day at 03:00"),
        ("30 4 * * 7", "0 30 4 * * 0", "every Sunday at 04:30"),
        ("0 3 * * mon-FRI", "0 0 3 * * 1-5", "every Monday to Friday at 03:00"),
        ("0 3 * * 5-7", "0 0 3 * * 0,5,6", "every Sunday, Friday and Saturday at 03:00"),
        ("0 3 ? * 1", "0 0 3 * * 1", "every Monday at 03:00"),
        ("0 3 1 * *", "0 0 3 1 * *", "on day 1 of every month at 03:00"),
        ("0 3,15 1,15 * *", "0 0 3,15 1,15 * *", "on days 1 and 15 of every month at 03:00 and 15:00"),
        ("0 3 1 1,7 *", "0 0 3 1 1,7 *", "on day 1 of January and July at 03:00"),
        ("0 3 13 * 5", "0 0 3 13 * 5", "on day 13 and every Friday of every month at 03:00"),
        ("0 3 1-31 * 5", "0 0 3 1-31 * 5", "every day at 03:00"),
        ("0 3 * 6-8 1", "0 0 3 * 6-8 1", "every Monday in June to August at 03:00"),
        ("* * * * *", "0 * * * * *", "every minute"),
        ("*/15 * * * *", "0 */15 * * * *", "every 15 minutes"),
        ("*/15 8-17 * * 1-5", "0 */15 8-17 * * 1-5", "every 15 minutes in the hours 8 to 17, every Monday to Friday"),
        ("*/7 * * * *", "0 */7 * * * *", "at the minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"),
        ("5 * * * *", "0 5 * * * *", "every hour at minute 5"),
        ("0 */3 * * *", "0 0 */3 * * *", "every 3 hours at minute 0 from 00:00"),
        ("0 */6 * * *", "0 0 */6 * * *", "every day at 00:00, 06:00, 12:00 and 18:00"),
        ("0 22-3 * * *", "0 0 0-3,22,23 * * *", "at minute 0 of the hours 0 to 3, 22 and 23"),
        ("50/5 1 * * *", "0 50,55 1 * * *", "every day at 01:50 and 01:55"),
        ("0 0 */2 * *", "0 0 0 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 * *", None),
        ("@daily", "0 0 0 * * *", "every day at 00:00"),
        ("@weekly", "0 0 0 * * 0", "every Sunday at 00:00"),
    ],
)
def test_five_fields_become_six_and_are_said_in_words(text: str, six: str, said: str | None) -> None:
    read = cron.parse(text)
    assert read.six == six
    if said:
        assert cron_words.words(read) == said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0 3 * * *", 'cron "0 0 3 * * *": has six fields; give five, without the seconds: "0 3 * * *"'),
        ("0 3 * * * 0", 'cron "0 3 * * * 0": has 6 fields; give five fields (minute hour day-of-month month'),
        ("0 3 * *", "has 4 fields"),
        ("3", "has 1 field;"),
        ("", "has 0 fields"),
        ("every night", "has 2 fields"),
        ("a b c d e", "minute 'a' is unknown; give 0 to 59"),
        ("60 3 * * *", "minute '60' is unknown; give 0 to 59"),
        ("0 24 * * *", "hour '24' is unknown; give 0 to 23"),
        ("0 3 0 * *", "day of month '0' is unknown; give 1 to 31"),
        ("0 3 * 13 *", "month '13' is unknown; give 1 to 12"),
        ("0 3 * * 8", "day of week '8' is unknown; give 0 to 6"),
        ("0 3 * * monday", "day of week 'monday' is unknown"),
        ("0 3 * mon *", "month 'mon' is unknown"),
        ("-5 3 * * *", "minute '-5' is unknown"),
        ("1,,2 3 * * *", "minute '1,,2' is unknown"),
        ("*/0 * * * *", "minute '*/0' is unknown"),
        ("٣ 3 * * *", "minute '٣' is unknown"),
        ("R 3 * * *", "minute 'r' is unknown"),
        ("H 3 * * *", "minute 'h' is unknown"),
        ("*/90 * * * *", "minute '*/90': the step is longer than the field; give an interval, such as --every 90m"),
        ("0 3 L * *", "Kubeflow's cron has no last days (L), working days (W) and nth weekdays (#)"),
        ("0 3 15W * *", "no last days (L), working days (W)"),
        ("0 3 * * 5#2", "no last days (L), working days (W) and nth weekdays (#)"),
        ("0 3 * * L5", "no last days (L)"),
        ("@reboot", 'cron "@reboot": is not a time of the calendar; give five fields'),
        ("@every 6h", "is not a time of the calendar; give --every 6h"),
        ("CRON_TZ=Asia/Tokyo 0 3 * * *", "Kubeflow's server accepts no time zone here; give --timezone"),
        ("TZ=Asia/Tokyo 0 3 * * *", "give --timezone"),
        ("0 3 31 2 *", "such a date never comes; check the day of the month"),
        ("0 3 31 4,6,9,11 *", "such a date never comes"),
        ("0 3 */2 * 1", "day of month */2 with day of week 1 means both in some crons and either in others"),
        ("0 3 13 * */2", "day of month 13 with day of week */2 means both"),
        ("0 3 1,*/9 * 1", "means both in some crons"),
    ],
)
def test_what_would_mean_something_else_or_nothing_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(StepError) as caught:
        cron.parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.kind == "settings"


@pytest.mark.parametrize(
    ("six", "five"),
    [
        ("0 0 3 * * *", "0 3 * * *"),
        ("0 0 3 ? * MON", "0 3 * * 1"),
        ("@daily", "0 0 * * *"),
        ("30 0 3 * * *", None),
        ("0 3 * * *", None),
        ("* 0 3 * * *", None),
        ("0 0 0 */2 * 1", None),
        ("@every 6h", None),
        ("", None),
    ],
)
def test_a_servers_cron_that_five_fields_cannot_say_is_not_put_into_words(six: str, five: str | None) -> None:
    read = cron.parse_six(six)
    assert (read.five if read else None) == five


@pytest.mark.parametrize(
    ("text", "here", "server", "moved"),
    [
        ("0 3 * * *", "UTC", "UTC", "0 3 * * *"),
        ("0 3 * * *", "Europe/Berlin", "Europe/Berlin", "0 3 * * *"),
        ("0 3 * * *", "Europe/Berlin", "Europe/Paris", "0 3 * * *"),
        ("0 3 * * *", "Asia/Shanghai", "UTC", "0 19 * * *"),
        ("0 3 * * 1", "Asia/Shanghai", "UTC", "0 19 * * 0"),
        ("0 3 * * 0", "Asia/Shanghai", "UTC", "0 19 * * 6"),
        ("30 20 1 * *", "Asia/Shanghai", "UTC", "30 12 1 * *"),
        ("0 3 * * *", "Asia/Kolkata", "UTC", "30 21 * * *"),
        ("0 3,20 * * *", "Asia/Shanghai", "UTC", "0 12,19 * * *"),
        ("0 22 * * 5", "UTC", "Asia/Shanghai", "0 6 * * 6"),
    ],
)
def test_a_cron_moves_between_zones_that_keep_their_distance(text: str, here: str, server: str, moved: str) -> None:
    assert zones.on_server(cron.parse(text), here, server, NEW_YEAR).five == moved


@pytest.mark.parametrize(
    ("text", "here", "server", "message"),
    [
        ("0 3 * * *", "Europe/Berlin", "UTC", "0 3 * * * in Europe/Berlin is not a single cron in UTC"),
        ("0 3 * * *", "America/New_York", "America/Chicago", "changes with daylight saving time"),
        ("0 3 1 * *", "Asia/Shanghai", "UTC", "are on another day there; give the times of UTC and --timezone UTC"),
        ("0 3,20 * * 1", "Asia/Shanghai", "UTC", "are on another day"),
        ("0 3 * 1 *", "Asia/Shanghai", "UTC", "are on another day"),
        ("0 3 * * *", "Europe/Berln", "UTC", "unknown time zone 'Europe/Berln'; did you mean Europe/Berlin?"),
        ("0 3 * * *", "PST", "UTC", "unknown time zone 'PST'; PST is an abbreviation: give America/Los_Angeles"),
        ("0 3 * * *", "cest", "UTC", "cest is an abbreviation: give Europe/Berlin"),
        ("0 3 * * *", "IST", "UTC", "IST is an abbreviation: give Asia/Jerusalem or Asia/Kolkata or Europe/Dublin"),
        ("0 3 * * *", "CST", "UTC", "CST is an abbreviation: give America/Chicago or Asia/Shanghai"),
        ("0 3 * * *", "AEDT", "UTC", "AEDT is an abbreviation: give Australia/Sydney"),
        ("0 3 * * *", "New York", "UTC", "unknown time zone 'New York'; did you mean America/New_York?"),
        ("0 3 * * *", "berlin", "UTC", "unknown time zone 'berlin'; did you mean Europe/Berlin?"),
        ("0 3 * * *", "asia/tokyo", "UTC", "unknown time zone 'asia/tokyo'; did you mean Asia/Tokyo?"),
        ("0 3 * * *", "UTC+2", "UTC", "unknown time zone 'UTC+2'; give Etc/GMT-2, whose sign is turned round"),
        ("0 3 * * *", "-05:00", "UTC", "give Etc/GMT+5, whose sign is turned round"),
        ("0 3 * * *", "../etc/passwd", "UTC", "unknown time zone '../etc/passwd'"),
        ("0 3 * * *", "", "UTC", "unknown time zone ''; for example UTC"),
    ],
)
def test_a_cron_that_is_no_one_cron_in_the_servers_zone_is_refused(
    text: str, here: str, server: str, message: str
) -> None:
    with pytest.raises(StepError) as caught:
        zones.on_server(cron.parse(text), here, server, NEW_YEAR)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (60, "every minute"),
        (5400, "every 90 minutes"),
        (21600, "every 6 hours"),
        (86400, "every day"),
        (604800, "every 7 days"),
    ],
)
def test_an_interval_is_said_in_its_largest_unit(seconds: int, said: str) -> None:
    assert cron_words.interval(seconds) == said


def test_every_word_of_a_long_cron_is_there() -> None:
    assert cron_words.words(cron.parse("1-9/4,30 8-17 2,3,20 jan,mar-may 1,3-5")) == (
        "at the minutes 1, 5, 9 and 30 of the hours 8 to 17, "
        "on days 2, 3 and 20 and every Monday and Wednesday to Friday of January and March to May"
    )
