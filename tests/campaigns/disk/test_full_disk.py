"""Whole runs on a full disk; ``python -m tests.campaigns.disk`` runs each and prints the result."""

from pathlib import Path

import pytest

from tests.campaigns.disk import campaign, small_disk


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> campaign.Undisturbed:
    """A run that had space enough."""
    place = tmp_path_factory.mktemp("disk")
    if reason := small_disk.refusal(place / "try"):
        pytest.skip(reason)
    return campaign.undisturbed(place / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize("case", campaign.CASES, ids=lambda case: case.name)
def test_a_run_on_a_full_disk_says_so_and_goes_on_when_there_is_space(
    case: campaign.Case, first: campaign.Undisturbed, tmp_path: Path
) -> None:
    assert campaign.meet(case, tmp_path / "runs", first).faults == []
