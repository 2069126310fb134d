"""The lease in Cloud Storage: one writer at a time, taken over from the dead, missed by who was given up for dead."""

import json
import subprocess
import sys
import threading
import time

import pytest

from components import storage
from components.core.errors import StepError
from components.train import lease

# Takes the lease in a process of its own and says so.
HOLD = """
import sys, time
from components.train import lease
with lease.remote(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def uri(bucket: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    monkeypatch.setattr(lease, "POLL_S", 0.05)
    return f"{bucket}/{request.node.name}/lease.json"


def holder(uri: str, **changes: object) -> None:
    """Write a holder that is another machine's process."""
    values = {"machine": "another", "pid": 1, "began": 1, "id": "somebody", "token": 4, "beat": 1}
    storage.write_text(uri, json.dumps(values | changes))


def test_a_second_one_waits_until_the_first_gives_it_back(uri: str, capsys) -> None:
    entered = threading.Event()

    def wait() -> None:
        with lease.remote(uri):
            entered.set()

    with lease.remote(uri) as first:
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not entered.wait(0.5)
        first.check()
    assert entered.wait(5)
    waiting.join()
    assert capsys.readouterr().out.count("waiting for it to end") == 1
    assert json.loads(storage.read_text(uri)) == {"token": 2}


def test_a_process_that_was_killed_here_is_waited_for_by_nobody(uri: str) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, uri], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None and running.stdout.readline() == "held\n"
        killed = storage.read_text(uri)
        running.kill()
    began = time.monotonic()
    with lease.remote(uri):
        assert storage.read_text(uri) != killed
    assert time.monotonic() - began < 3


# Waits for the lease with a wall clock that is so many seconds ahead, in a process of its own; says so when it has it.
WAIT = """
import sys, time
ahead, right = float(sys.argv[2]), time.time
time.time = lambda: right() + ahead
from components.train import lease
lease.EXPIRY_S, lease.POLL_S = 1.0, 0.05
lease._machine = lambda: "another"
print("waits", flush=True)
with lease.remote(sys.argv[1]):
    print("held", flush=True)
"""


@pytest.mark.parametrize("ahead", [-3600, 31, 3600])
def test_a_living_holder_is_not_taken_over_whatever_the_clock_of_who_waits(
    uri: str, ahead: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 0.1)
    with (
        lease.remote(uri) as mine,
        subprocess.Popen([sys.executable, "-c", WAIT, uri, str(ahead)], stdout=subprocess.PIPE, text=True) as waiting,
    ):
        assert waiting.stdout is not None and waiting.stdout.readline() == "waits\n"
        time.sleep(2.5)
        mine.check()
        waiting.kill()
        assert "held" not in waiting.stdout.read()


@pytest.mark.parametrize("ahead", [0, -3600, 3600], ids=["clocks agree", "its clock is late", "its clock is early"])
def test_another_machine_that_is_silent_is_given_up(uri: str, ahead: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "EXPIRY_S", 0.7)
    holder(uri, beat=time.time() + ahead)
    began = time.monotonic()
    with lease.remote(uri) as mine:
        took = time.monotonic() - began
        assert mine.token == 5
    assert 0.7 < took < 3


def test_silence_counts_from_the_first_look(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "EXPIRY_S", 6.0)
    holder(uri)
    early = lease.Lease(uri)
    early.observe()
    time.sleep(5.0)
    began = time.monotonic()
    with lease.remote(uri, early):
        assert time.monotonic() - began < 5
    holder(uri)
    early = lease.Lease(uri)
    early.observe()
    holder(uri, beat=2)  # it lives
    monkeypatch.setattr(lease, "WAIT_S", 0.3)
    early._seen = (early._seen[0], early._seen[1] - 6.0)
    with pytest.raises(StepError, match="another run is training the same model"), lease.remote(uri, early):
        pass


def test_each_holder_has_a_higher_token_than_all_before(uri: str) -> None:
    tokens = []
    for _ in range(3):
        with lease.remote(uri) as mine:
            tokens.append(mine.token)
    assert tokens == [1, 2, 3]


def test_a_lease_that_another_takes_between_the_look_and_the_write_is_not_taken(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "WAIT_S", 0.3)
    late, early = lease.Lease(uri), lease.Lease(uri)
    look = late._read

    def overtaken() -> tuple[dict[str, object], int]:
        seen = look()
        if not early.token:
            early.acquire()
        return seen

    monkeypatch.setattr(late, "_read", overtaken)
    with pytest.raises(StepError, match="another run is training the same model") as caught:
        late.acquire()
    assert caught.value.kind == "conflict"
    early.check()
    assert json.loads(storage.read_text(uri))["id"] == early._holder["id"]


def test_a_holder_whose_beats_fail_stops_writing_by_its_own_clock_and_goes_on_when_they_succeed(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in {"RENEW_S": 0.1, "STEP_DOWN_S": 0.6, "REGAIN_S": 0.5}.items():
        monkeypatch.setattr(lease, name, seconds)
    write = storage.write_text
    with lease.remote(uri) as mine:

        def refused(*_: object, **__: object) -> None:
            raise StepError("Cloud Storage: Forbidden", kind="resources")

        monkeypatch.setattr(storage, "write_text", refused)
        mine.check()
        time.sleep(0.8)
        # Nobody has taken the lease, and all can be read: it is the clock alone that forbids to write.
        assert json.loads(storage.read_text(uri))["id"] == mine._holder["id"]
        with pytest.raises(
            StepError, match=r"lease\.json could not be renewed for 1 s: nothing more is written"
        ) as caught:
            mine.check()
        assert caught.value.kind == "resources" and not mine.lost
        monkeypatch.setattr(storage, "write_text", write)
        mine.check()


def test_a_beat_that_arrived_although_its_answer_was_lost_is_no_takeover(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 0.1)
    with lease.remote(uri) as mine:
        storage.write_text(uri, storage.read_text(uri))
        time.sleep(0.6)
        mine.check()
        assert not mine.lost


def test_another_machine_that_lives_on_is_a_conflict(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "WAIT_S", 0.5)
    holder(uri)
    with pytest.raises(StepError, match="another run is training the same model") as caught, lease.remote(uri):
        pass
    assert caught.value.kind == "conflict"
    assert json.loads(storage.read_text(uri))["machine"] == "another"


def test_who_was_given_up_for_dead_notices_and_leaves_the_new_holder_alone(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 0.1)
    with lease.remote(uri) as mine:
        time.sleep(0.5)
        mine.check()
        holder(uri)
        deadline = time.monotonic() + 5
        while not mine.lost and time.monotonic() < deadline:
            time.sleep(0.02)
        with pytest.raises(StepError, match="another run has taken over this training") as caught:
            mine.check()
    # Which is tried again on a cluster: argo's pattern of transient errors matches the kind.
    assert caught.value.kind == "preempted"
    assert json.loads(storage.read_text(uri))["machine"] == "another"


def test_a_takeover_is_noticed_before_the_next_beat(uri: str) -> None:
    with lease.remote(uri) as mine:
        holder(uri)
        mine.require()  # nothing is known yet
        with pytest.raises(StepError, match="another run has taken over this training"):
            mine.check()
        with pytest.raises(StepError, match="another run has taken over this training"):
            mine.require()


def test_of_many_who_take_it_at_once_one_at_a_time_has_it(uri: str) -> None:
    inside, most, taken = 0, 0, []

    def take(number: int) -> None:
        nonlocal inside, most
        with lease.remote(uri):
            inside += 1
            most = max(most, inside)
            time.sleep(0.05)
            taken.append(number)
            inside -= 1

    threads = [threading.Thread(target=take, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and sorted(taken) == list(range(6))


def test_a_holder_who_removes_it_leaves_nothing_behind(uri: str) -> None:
    folder = uri.rpartition("/")[0]
    with lease.remote(uri):
        storage.remove(folder)
    assert not storage.exists(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"machine": 7}', '{"machine": "a", "beat": "soon"}', "\u0000", '{"token": "x"}']
)
def test_what_is_no_holder_is_written_over(uri: str, text: str) -> None:
    storage.write_text(uri, text)
    with lease.remote(uri) as mine:
        mine.check()
