import pytest

from components.core.errors import StepError
from pipelines.hardware import catalog, ladder

CATALOG = catalog.load()


def test_a_ladder_is_read_in_its_order() -> None:
    rungs = ladder.parse("v5e-4:spot, l4x2:spot,l4x2", CATALOG)
    assert [str(rung) for rung in rungs] == ["v5e-4:spot", "l4x2:spot", "l4x2"]
    assert [rung.price for rung in rungs] == [CATALOG["v5e-4"].spot, CATALOG["l4x2"].spot, CATALOG["l4x2"].on_demand]


def test_spot_is_what_a_rung_without_a_capacity_means_where_it_is_asked_for() -> None:
    rungs = ladder.parse("l4,l4:on-demand", CATALOG, spot=True)
    assert [rung.capacity for rung in rungs] == ["spot", "on-demand"]


def test_one_pod_holds_the_rungs_that_ask_for_the_same() -> None:
    rungs = ladder.parse("v5e-4:spot,l4x2:spot,l4x2,a100-40gx2,a100-40g", CATALOG)
    groups = [[str(rung) for rung in group] for group in ladder.one_pod(rungs)]
    assert groups == [["v5e-4:spot"], ["l4x2:spot", "l4x2", "a100-40gx2"], ["a100-40g"]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "--accelerator names nothing"),
        (",", "--accelerator names nothing"),
        ("l4:spto", "unknown capacity 'spto'; did you mean spot?"),
        ("l4,l4", "l4 occurs twice in l4,l4"),
        ("l4:spot,v5e-16", "this slice has 4 machines"),
    ],
)
def test_a_wrong_ladder_is_one_line(text: str, said: str) -> None:
    with pytest.raises(StepError, match=r".") as caught:
        ladder.parse(text, CATALOG)
    assert said in str(caught.value)
