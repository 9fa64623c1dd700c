"""Tests in parallel: what this suite needs of pytest-xdist, which goes wrong without a word."""

import logging

import pytest


@pytest.mark.xdist_group("kept together")
def test_groups_stay_with_one_worker(request: pytest.FixtureRequest) -> None:
    """Workers take tests apart by the end of their ids, where the group is named: or each would start the same demo."""
    grouped = request.config.getoption("loadgroup", default=False)
    assert request.node.nodeid.endswith("@kept together") == grouped


def test_any_log_gets_through() -> None:
    """A test may log half of a surrogate pair; the report of a worker that holds it reaches the session."""
    logging.getLogger("tests").warning("half of a pair: \ud800")
