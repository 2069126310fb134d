from decimal import Decimal

import pytest

from pipelines.hardware.pods import quantity


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1", 1),
        ("500m", Decimal("0.5")),
        ("16Gi", 16 * 2**30),
        ("1.5Gi", 3 * 2**29),
        ("128974848", 128974848),
        ("129M", 129_000_000),
        ("1e3", 1000),
        ("2E", 2 * 10**18),
        ("100n", Decimal("1e-7")),
        ("0", 0),
    ],
)
def test_a_quantity_is_read_as_kubernetes_reads_it(text: str, amount: Decimal) -> None:
    assert quantity(text) == amount


@pytest.mark.parametrize("text", ["", "m", "two", "16GB"])
def test_what_is_not_a_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Invalid number format"):
        quantity(text)
