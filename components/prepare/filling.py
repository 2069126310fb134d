"""From a source's streams to record files: validate examples, assign splits, drop duplicates across splits."""

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import compress, islice
from pathlib import Path
from typing import Any

import numpy as np

from components.core import progress
from components.core.errors import StepError
from components.core.examples import Records
from components.core.plain import visible
from components.data import SPLITS, DataSettings, Example, Source, attribute, expected_counts, fractions
from components.prepare import near_duplicates
from components.prepare.writer import RecordEncoder, Split, cores
from components.tasks.contract import Examples, Summary

# Position of a key relative to the two bounds -> index of the split.
CUT = np.array([2, 1, 0])
# Increased when the same data are written differently, so that older directories are not reused.
LAYOUT = 3
# Examples in memory at once: at most BATCH, and about BATCH_BYTES.
BATCH, BATCH_BYTES = 512, 2**21
# Encoded examples per task of a thread.
PART = 8
KEY_BYTES = 8
# Each byte in base 16, uint8 [256, 2].
HEXADECIMAL = np.frombuffer(bytes(range(256)).hex().encode(), np.uint8).reshape(256, 2)
MEGABYTE = 10**6
DIVIDED = "of groups that an official split has"


@dataclass
class Filled:
    """The written examples.

    Attributes:
        splits: the record files, in the order of writing.
        summary: of the examples, for the report.
        duplicates: origin split -> examples left out because another split has the same content: an official one, or
            with ``data.group`` or ``data.time`` any.
        groups: number of groups in each split, with ``data.group``.
        quarantined: name and fault of each bad example.
        left_out: reason -> number of examples that the source, or ``data.limit``, left out.
        near: held-out split -> its examples that are nearly equal to a training example, if the task looks for them.
        pairs: a few of them: the split, the content, and that of the training example.
        fingerprint: a digest of all examples with their features and splits, and of the layout.
    """

    splits: list[Split]
    summary: Summary
    duplicates: dict[str, int] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    quarantined: list[tuple[str, str]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    near: dict[str, near_duplicates.Found] = field(default_factory=dict)
    pairs: list[tuple[str, bytes, bytes]] = field(default_factory=list)
    fingerprint: str = ""

    def reasons(self) -> Counter[str]:
        """All reasons for which examples were left out, duplicates among them."""
        duplicates = {
            f"examples of {origin} that an official split has too": count for origin, count in self.duplicates.items()
        }
        return +(self.left_out + Counter(duplicates))

    def account(self) -> str:
        """How many examples the source has and what became of them, in one line."""
        prepared, reasons = sum(sum(split.counts) for split in self.splits), self.reasons()
        total = prepared + len(self.quarantined) + reasons.total()
        why = "; ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
        return (
            f"{total:,} examples: {prepared:,} prepared, {len(self.quarantined):,} quarantined, "
            f"{reasons.total():,} left out{f' ({why})' if why else ''}"
        )


def fill(source: Source, settings: DataSettings, role: Examples[Any], folder: Path) -> Filled:
    """Write all examples of a source to the record files of their splits, in bounded memory.

    Raises:
        StepError: there are more bad examples than ``settings.quarantine``; the message has the first.
    """
    shares = fractions(settings.split, set(source.splits))
    names = [name for name in SPLITS if name in source.splits or shares[name]]
    counts = {name: min(count, settings.limit or count) for name, count in source.counts.items()}
    layout = {"layout": LAYOUT, "task": settings.task, "info": source.info, "shard_megabytes": settings.shard_megabytes}
    with ExitStack() as stack:
        splits = {}
        expected = expected_counts(settings, counts, set(source.splits))
        for name in names:
            split = Split(folder, name, settings.shard_megabytes * MEGABYTE, cores(), expected[name])
            splits[name] = stack.enter_context(split)
        filled = Filled(list(splits.values()), role.summary())
        run = _Run(
            filled,
            settings,
            role,
            source.info,
            splits,
            hashlib.blake2b(digest_size=8),
            RecordEncoder(role.kinds),
            source.counts,
            sum(counts.values()),
        )
        run.total.update(json.dumps(layout, sort_keys=True).encode())
        # Held-back splits come first: train and validation must not repeat their examples.
        for origin in ("test", "validation", "train"):
            if origin in source.splits:
                if origin == "train" and settings.time:
                    given = (one for one in source.splits[origin]() if "left_out" not in one)
                    run.cuts = time_cuts(islice(given, settings.limit or None), settings.time, shares)
                run.take(origin, source.splits[origin](), thresholds(shares) if origin == "train" else None)
    if settings.group:
        filled.groups = {name: len(run.groups.get(name, ())) for name in names}
    filled.fingerprint = run.total.hexdigest()
    if role.likeness:
        filled.near = near_duplicates.find(run.sketches, role.likeness)
        filled.pairs = [
            (name, splits[name].content(held_out), splits["train"].content(train))
            for name, near in filled.near.items()
            for held_out, train in near.pairs
        ]
    return filled


def thresholds(shares: dict[str, float]) -> np.ndarray:
    """Two bounds for mixed keys, uint64: test below the first, validation below the second, else train."""
    test, validation = shares["test"], shares["test"] + shares["validation"]
    return np.array([min(round(bound * 2**64), 2**64 - 1) for bound in (test, validation)], np.uint64)


def time_cuts(examples: Iterable[Example], spec: str, shares: dict[str, float]) -> tuple[float, float]:
    """The times from which on examples are in the validation split and in the test split; equal times stay together."""
    times = np.sort([moment(attribute(example, "time", spec)) for example in examples if "fault" not in example])
    if not len(times):
        return math.inf, math.inf
    ranks = [round(len(times) * bound) for bound in (shares["train"], shares["train"] + shares["validation"])]
    validation, test = (float(times[rank]) if rank < len(times) else math.inf for rank in ranks)
    return validation, test


def moment(text: str) -> float:
    """A number, or a date and time in ISO 8601 as seconds; without a zone it is UTC.

    Raises:
        StepError: it is neither.
    """
    with suppress(ValueError):
        value = float(text)
        if math.isfinite(value):
            return value
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise StepError(
            f"data.time: {text!r} is neither a number nor a date such as 2026-12-01 or 2026-12-01T08:30"
        ) from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def mix(keys: np.ndarray, salt: str) -> np.ndarray:
    """Independent keys for a salt, uint64 [n]: SplitMix64's finalizer (Steele, Lea, Flood, 2014).

    The salt is the source's name. Without it, data that were split by their keys once would all be on one side of the
    second split, when they are prepared again from their directory.
    """
    start = int.from_bytes(hashlib.blake2b(salt.encode(), digest_size=KEY_BYTES).digest())
    bits = keys ^ np.uint64(start)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    result: np.ndarray = bits ^ (bits >> np.uint64(31))
    return result


def keys_of(contents: list[bytes] | np.ndarray) -> np.ndarray:
    """The keys of contents, uint64 [n]: a hash, so that equal contents are in the same split."""
    hashed = hashlib.blake2b
    digests = b"".join([hashed(content, digest_size=KEY_BYTES).digest() for content in contents])
    return np.frombuffer(digests, ">u8").astype(np.uint64)


@dataclass
class _Run:
    """The state while a source is streamed."""

    filled: Filled
    settings: DataSettings
    role: Examples[Any]
    info: dict[str, Any]
    splits: dict[str, Split]
    total: Any
    encoder: RecordEncoder
    counts: dict[str, int]
    expected: int
    held_back: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    cuts: tuple[float, float] = (math.inf, math.inf)
    # With groups or times, equal contents may be assigned to several splits: content -> the first one's.
    places: dict[int, int] = field(default_factory=dict)
    sketches: dict[str, near_duplicates.Sketches] = field(default_factory=dict)
    # Split -> the groups in it.
    groups: dict[str, set[int]] = field(default_factory=dict)
    done: int = 0
    _reported: float = 0
    _seen: int = 0

    def take(self, origin: str, stream: Iterator[Example], bounds: np.ndarray | None) -> None:
        """Write one of the source's splits, as it is or split at the bounds."""
        new: list[np.ndarray] = []
        self.filled.duplicates[origin] = 0
        for stored, examples in self._records(origin, islice(self._given(stream), self.settings.limit or None)):
            keys = keys_of(stored.contents if stored.identities is None else stored.identities)
            groups = self._groups(examples)
            if bounds is None:
                which = np.full(len(keys), SPLITS.index(origin))
                new.append(keys)
            elif self.settings.time:
                times = [moment(attribute(example, "time", self.settings.time)) for example in examples]
                which = np.searchsorted(self.cuts, times, side="right")
            else:
                placed = keys if groups is None else groups
                which = CUT[np.searchsorted(bounds, mix(placed, self.settings.name), side="right")]
            repeated = _contains(self.held_back, keys) | self._elsewhere(keys, which)
            self.filled.duplicates[origin] += int(repeated.sum())
            divided = self._divided(groups, which) & ~repeated
            if divided.any():
                self.filled.left_out[DIVIDED] += int(divided.sum())
            if (out := repeated | divided).any():
                stored, keys, which = _without(stored, out), keys[~out], which[~out]
                groups = None if groups is None else groups[~out]
            if len(keys):
                self._write(stored, keys, which, groups)
        self.held_back = np.sort(np.concatenate([self.held_back, *new]))
        if (rest := self.counts.get(origin, 0) - self._seen) > 0:
            limit = self.settings.limit
            self.filled.left_out["beyond data.limit" if limit else f"of {origin} that the source did not give"] += rest

    def _given(self, stream: Iterator[Example]) -> Iterator[Example]:
        """The examples of a stream but those that the source leaves out, which are counted."""
        self._seen = 0
        for example in stream:
            if "left_out" in example:
                count = example.get("count", 1)
                self.filled.left_out[example["left_out"]] += count
                self._seen += count
            else:
                self._seen += 1
                yield example

    def _groups(self, examples: list[Example]) -> np.ndarray | None:
        """The keys of the examples' groups, uint64 [n], if the data have groups."""
        if not (spec := self.settings.group):
            return None
        return keys_of([attribute(example, "group", spec).encode() for example in examples])

    def _elsewhere(self, keys: np.ndarray, which: np.ndarray) -> np.ndarray:
        """Whether equal content is in another split already, bool [n]; without groups and times it cannot be."""
        if not (self.settings.group or self.settings.time):
            return np.zeros(len(keys), bool)
        pairs = zip(keys.tolist(), which.tolist(), strict=True)
        return np.array([self.places.setdefault(key, split) != split for key, split in pairs], bool)

    def _divided(self, groups: np.ndarray | None, which: np.ndarray) -> np.ndarray:
        """Whether the group is in another split already, an official one, bool [n]."""
        if groups is None:
            return np.zeros(len(which), bool)
        result = np.zeros(len(which), bool)
        for index, (group, split) in enumerate(zip(groups.tolist(), which.tolist(), strict=True)):
            result[index] = any(group in members for name, members in self.groups.items() if name != SPLITS[split])
            if not result[index]:
                self.groups.setdefault(SPLITS[split], set()).add(group)
        return result

    def _write(self, stored: Records, keys: np.ndarray, which: np.ndarray, groups: np.ndarray | None) -> None:
        self.total.update(np.stack([keys, which], axis=1, dtype="<u8", casting="unsafe").tobytes())
        if stored.identities is not None:
            self.total.update(keys_of(stored.contents).tobytes())
        for values in stored.features.values():
            self.total.update(_bytes(values))
        # An example's key, and that of its group, which evaluate finds there.
        named = keys[:, None] if groups is None else np.stack([keys, groups], axis=1)
        titles = HEXADECIMAL[named.astype(">u8").view(np.uint8)].reshape(len(keys), -1)
        if groups is not None:
            self.total.update(titles.tobytes())
        records = self.encoder.records([stored.contents, titles, *stored.features.values()])
        for number in np.unique(which).tolist():
            chosen, name = which == number, SPLITS[number]
            self.splits[name].write(_select(records, chosen))
            if self.role.likeness and stored.sketches is not None:
                held = self.sketches.setdefault(name, near_duplicates.Sketches())
                held.add(stored.sketches[chosen], keys[chosen], self.role.likeness)
        self.filled.summary.update(stored, keys, which)
        self.done += len(records)
        if time.monotonic() - self._reported > 1:
            self._reported = time.monotonic()
            progress.report("prepare", done=self.done, **({"total": self.expected} if self.expected else {}))

    def _records(self, origin: str, stream: Iterator[Example]) -> Iterator[tuple[Records, list[Example]]]:
        """The valid examples as records and as the source gave them, a batch at a time; bad ones are quarantined."""
        encoded = self.info.get("encoding") == "encoded"
        with ThreadPoolExecutor(cores()) as pool:
            # Decoding releases Python's lock; everything else is too short for threads.
            run, size = (pool.map, PART) if encoded else (map, BATCH)
            least = PART * cores()
            position, count, content = 0, least, next(iter(self.role.kinds))
            while batch := list(islice(stream, count)):
                count = max(least, min(BATCH, BATCH_BYTES // (1 + _size(batch[0].get(content, b"")))))
                parts = [batch[start : start + size] for start in range(0, len(batch), size)]
                for part, stored in zip(parts, run(self._converted, parts), strict=True):
                    for index, fault in stored.faults.items():
                        self._quarantine(part[index].get("name", f"{origin} example {position + index}"), fault)
                    position += len(part)
                    if len(stored.contents):
                        yield stored, [one for index, one in enumerate(part) if index not in stored.faults]

    def _converted(self, part: list[Example]) -> Records:
        """Some examples as records; those that come with a ``fault`` keep it."""
        faults = {position: example["fault"] for position, example in enumerate(part) if "fault" in example}
        if not faults:
            return self.role.to_records(part)
        whole = [position for position in range(len(part)) if position not in faults]
        stored = self.role.to_records([part[position] for position in whole])
        faults |= {whole[position]: fault for position, fault in stored.faults.items()}
        return replace(stored, faults=dict(sorted(faults.items())))

    def _quarantine(self, name: str, fault: str) -> None:
        bad = self.filled.quarantined
        # A file's name may be of any bytes, which no page can hold.
        bad.append((visible(name), visible(fault)))
        if len(bad) <= self.settings.quarantine:
            return
        first = f"{bad[0][0]}: {bad[0][1]}"
        raise StepError(
            first
            if len(bad) == 1
            else f"{len(bad)} bad examples, {self.settings.quarantine} are allowed; first {first}",
            advice="correct or remove it, or raise data.quarantine to set some aside",
        )


def _size(content: Any) -> int:
    """The length of a content, in bytes or characters."""
    return len(content) if isinstance(content, str) else memoryview(content).nbytes


def _bytes(values: np.ndarray | list[bytes]) -> bytes:
    """A feature's values as bytes, different for different lists of values."""
    if isinstance(values, np.ndarray):
        whole = values if values.dtype.kind == "f" else values.astype("<i8")
        return whole.tobytes()
    return np.array([len(value) for value in values], "<u8").tobytes() + b"".join(values)


def _without(stored: Records, excluded: np.ndarray) -> Records:
    mask = ~excluded
    features = {name: _select(values, mask) for name, values in stored.features.items()}
    identities = stored.identities and list(compress(stored.identities, mask))
    sketches = None if stored.sketches is None else stored.sketches[mask]
    return Records(_select(stored.contents, mask), features, {}, identities, sketches)


def _select(rows: list[bytes] | np.ndarray, mask: np.ndarray) -> list[bytes] | np.ndarray:
    return rows[mask] if isinstance(rows, np.ndarray) else list(compress(rows, mask))


def _contains(ordered: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Whether each key is in the sorted array, bool [n]."""
    if not len(ordered):
        return np.zeros(len(keys), bool)
    ranks = np.searchsorted(ordered, keys)
    result: np.ndarray = ordered[np.minimum(ranks, len(ordered) - 1)] == keys
    return result
