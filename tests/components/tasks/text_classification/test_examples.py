"""What a text must be to be stored."""

from functools import partial

import pytest

from components.tasks.contract import Task

task_for = partial(Task, "text_classification")


BAD = {
    "empty": (b"", "the text is empty"),
    "spaces": (b" \n\t ", "the text is empty"),
    "long": (b"x" * 2**20, "at most 100,000 are read (data.longest)"),
    "no UTF-8": (b"caf\xe9", "the text is not UTF-8 (byte 3)"),
    "UTF-16": ("ab".encode("utf-16"), "the text has a NUL byte"),
    "half a character": ("a\ud800", "the text is not UTF-8 (byte 1)"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_a_bad_text_is_told_and_the_others_are_kept(text: bytes | str, message: str) -> None:
    info = {"classes": ["a", "b"], "sources": ["x"], "longest": 100_000}
    stored = task_for(info).examples.to_records([{"text": "fine", "label": 1}, {"text": text, "label": 0}])
    assert stored.contents == [b"fine"] and list(stored.faults) == [1]
    assert message in stored.faults[1] and "\n" not in stored.faults[1]
