"""Broken inputs made of good ones: bytes, lines of text, and values of JSON's kind."""

import json
import random
from collections.abc import Callable
from typing import Any

# Numbers at which formats and parsers change their mind.
NUMBERS = [0, 1, -1, 2, 7, 127, 128, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, 2**32, 2**53, 2**63, 2**64, 10**30]
FLOATS = [0.0, -0.0, 0.5, 1.0, 1e-320, 1e308, -1e308, float("inf"), float("-inf"), float("nan")]
TEXTS = [
    "", " ", "\0", "\n", "\x1b[31m", "\u202e", "\ud800", "é" * 3, "漢字", "😀", "a" * 5_000, "../" * 8 + "etc/passwd",
    "/dev/zero", "/etc/passwd", "gs://", "gs://b", "file:///etc/passwd", "-1", "NaN", "null", "true", "1e999", "0x10",
    "%s%n", "{0}", "{{x}}", "${HOME}", "~", "*", "[red]", "<script>", "'", '"', "`id`", "$(id)", "__class__",
    "cnn", "digits", "tfds", "image_folder", "train", "a.b",
    "=", ";", "\\", "\r\n", "12h", "999999999999w", "0 3 * * *",
    "* * * * *", "6h",
]  # fmt: skip
KEYS = ["name", "split", "epochs", "schema_version", "__init__", "", "x" * 300, "a.b", "\0", "class", "self", "\ud800"]


def value(draw: random.Random, depth: int = 0) -> Any:
    """Any value of JSON's kind, and NaN."""
    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: draw.random() < 0.5,
        lambda: draw.choice(NUMBERS),
        lambda: draw.choice(FLOATS),
        lambda: draw.choice(TEXTS),
    ]
    if depth < 3:
        kinds.append(lambda: [value(draw, depth + 1) for _ in range(draw.randrange(4))])
        kinds.append(lambda: {draw.choice(KEYS): value(draw, depth + 1) for _ in range(draw.randrange(3))})
    return draw.choice(kinds)()


def nested(depth: int) -> Any:
    """A list in a list in a list."""
    found: Any = []
    for _ in range(depth):
        found = [found]
    return found


def changed(given: Any, draw: random.Random) -> Any:
    """A value of JSON's kind with something in it replaced, removed, added or doubled."""
    if isinstance(given, dict) and given and draw.random() < 0.9:
        found, key = dict(given), draw.choice(list(given))
        match draw.randrange(6):
            case 0:
                del found[key]
            case 1:
                found[draw.choice(KEYS)] = value(draw)
            case 2:
                found[key] = value(draw)
            case 3:
                found[_misspelt(str(key), draw)] = found.pop(key)
            case _:
                found[key] = changed(given[key], draw)
        return found
    if isinstance(given, list) and given and draw.random() < 0.8:
        place = draw.randrange(len(given))
        match draw.randrange(4):
            case 0:
                return given[:place] + given[place + 1 :]
            case 1:
                return [*given, value(draw)]
            case 2:
                return given * draw.choice([2, 50])
            case _:
                return [*given[:place], changed(given[place], draw), *given[place + 1 :]]
    if isinstance(given, int) and not isinstance(given, bool) and draw.random() < 0.5:
        return draw.choice([given + 1, -given, given * 10**6, float(given), str(given), *NUMBERS])
    return nested(draw.choice([20, 400])) if draw.random() < 0.02 else value(draw)


def _misspelt(word: str, draw: random.Random) -> str:
    place = draw.randrange(len(word) + 1)
    return draw.choice([word[:place] + word[place + 1 :], word[:place] + "x" + word[place:], word.upper(), f" {word}"])


def bytes_of(given: bytes, draw: random.Random) -> bytes:
    """Bytes with some flipped, cut off, doubled, swapped or put in between."""
    found = bytearray(given)
    for _ in range(draw.choice([1, 1, 1, 2, 8])):
        size = len(found)
        start = draw.randrange(size + 1)
        end = min(size, start + draw.choice([1, 2, 4, 16, 256]))
        match draw.randrange(8):
            case 0 if size:
                found[start % size] ^= 1 << draw.randrange(8)
            case 1:
                found = found[:start]
            case 2:
                del found[start:end]
            case 3:
                found[start:start] = found[start:end]
            case 4:
                found[start:end] = bytes(end - start)
            case 5:
                found[start:end] = b"\xff" * (end - start)
            case 6:
                found[start:start] = draw.randbytes(draw.choice([1, 4, 64]))
            case _:
                number = abs(draw.choice(NUMBERS)).to_bytes(16)
                found[start:end] = number[16 - min(16, end - start) :]
    return bytes(found)


def text_of(given: str, draw: random.Random) -> str:
    """A text with lines removed, doubled or swapped, words replaced, characters put in."""
    found = given
    for _ in range(draw.choice([1, 1, 2, 4])):
        lines = found.split("\n")
        place = draw.randrange(len(lines))
        match draw.randrange(7):
            case 0:
                del lines[place]
            case 1:
                lines.insert(place, draw.choice(lines))
            case 2:
                lines[place] = lines[place].replace(draw.choice(lines[place].split() or ["x"]), draw.choice(TEXTS))
            case 3:
                words = lines[place].partition("=")
                lines[place] = f"{words[0]}= {written(value(draw))}"
            case 4:
                cut = draw.randrange(len(lines[place]) + 1)
                lines[place] = lines[place][:cut] + draw.choice(TEXTS) + lines[place][cut:]
            case 5:
                lines[place] = lines[place][: draw.randrange(len(lines[place]) + 1)]
            case _:
                lines.insert(place, f"{draw.choice(KEYS)} = {written(value(draw))}")
        found = "\n".join(lines)
    return found


def written(given: Any) -> str:
    """A value as JSON, which is TOML for most of them."""
    return json.dumps(given)
