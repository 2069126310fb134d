"""What a StepError says."""

from collections.abc import Callable
from typing import Any

import pytest

from components.core.errors import StepError


def one_line(failure: pytest.ExceptionInfo[StepError]) -> str:
    assert "\n" not in str(failure.value)
    return str(failure.value)


def refused(call: Callable[[], Any]) -> str:
    """What a call says that must end with a StepError of one line that is not too long."""
    with pytest.raises(StepError) as failure:
        call()
    text = one_line(failure)
    assert len(text) < 700, text
    return text
