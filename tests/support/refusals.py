"""What a StepError says."""

import pytest

from components.core.errors import StepError


def one_line(failure: pytest.ExceptionInfo[StepError]) -> str:
    assert "\n" not in str(failure.value)
    return str(failure.value)
