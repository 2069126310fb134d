import pytest

from components.models import cnn


@pytest.mark.parametrize("filters", [(4,), (4, 4), (4, 4, 4), (4, 4, 4, 4)], ids=len)
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("side", [1, 2, 3, 7, 8, 21, 22])
def test_cnn_refuses_exactly_the_pictures_that_its_pools_do_not_allow(
    side: int, padding: str, filters: tuple[int, ...]
) -> None:
    settings = cnn.Settings(filters=filters, padding=padding)
    told = settings.problem((side, side + 5, 1))
    try:
        allowed = 0 not in cnn.build(settings, (side, side + 5, 1), 2).layers[-4].output.shape
    except ValueError:  # Keras's own way to say that nothing is left
        allowed = False
    assert allowed == (told == "")


def test_cnns_refusal_says_what_to_do() -> None:
    told = cnn.Settings().problem((8, 8, 1))
    assert told == (
        "convolution and pool 2 of 3 leave nothing of 8 pixels; "
        "shorten model.filters to 1, or use model.padding=same or larger images"
    )
