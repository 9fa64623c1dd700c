"""What tests of the laboratory may ask for."""

import pytest

from tests.lab.ground import Ground, ground_on


@pytest.fixture(scope="session")
def ground(postgres_url: str) -> Ground:
    """The ground on the session's PostgreSQL."""
    return ground_on(postgres_url)
