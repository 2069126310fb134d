import re

import pytest
from google.api_core.exceptions import ResourceExhausted

from components.core import errors, sources
from components.core.errors import BUG, EXIT_CODES, HOPELESS, StepError


def test_every_kind_has_an_exit_code_of_its_own_that_no_signal_and_no_shell_uses() -> None:
    assert len(set(EXIT_CODES.values())) == len(EXIT_CODES)
    assert all(64 <= code < 126 for code in EXIT_CODES.values())
    assert {"preempted", "stalled", "resources", "conflict"} == set(EXIT_CODES) - HOPELESS
    assert BUG in HOPELESS


def test_the_page_on_failures_has_each_kind_with_its_code() -> None:
    """Scripts and policies of clusters compare these codes, so they stay."""
    rows = re.findall(r"^\| `?(\w+)`? \| (\d+) \|", (sources.ROOT / "docs/failures.md").read_text(), re.MULTILINE)
    assert {kind: int(code) for kind, code in rows} == EXIT_CODES


def test_an_error_is_its_message_and_what_to_do() -> None:
    assert str(StepError("it is wrong", advice="mend it")) == "it is wrong; mend it"
    assert str(StepError("it is wrong")) == "it is wrong" and StepError("it is wrong").kind == "data"


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (MemoryError(), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 16 bytes"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate"), True),
        (ValueError("shapes differ"), False),
        # A service's quota is called alike.
        (ResourceExhausted("too many requests"), False),  # type: ignore[no-untyped-call]
    ],
)
def test_memory_that_ran_out_is_recognized_in_every_backends_words(error: Exception, answer: bool) -> None:
    assert errors.out_of_memory(error) is answer


def test_tensorflows_own_memory_error_is_recognized() -> None:
    import tensorflow as tf

    assert errors.out_of_memory(tf.errors.ResourceExhaustedError(None, None, "no room"))
