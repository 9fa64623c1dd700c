"""What is checked of a request to run something before the database is asked."""

from typing import ClassVar

import attrs
import pytest

import owlrunner
from owlrunner.errors import InvalidParams
from owlrunner.trigger_request import MAX_PARAMS_BYTES, checked_params

LONGEST = MAX_PARAMS_BYTES - len('{"text":""}')
REFUSED = r"^params: at most 262,144 bytes as JSON, got 262,145$"


@attrs.frozen
class Noted:
    """Params that note how often they are decoded."""

    decoded: ClassVar[list[str]] = []
    text: str = ""

    def __attrs_post_init__(self) -> None:
        """Note it."""
        self.decoded.append(self.text)


@owlrunner.job_type(scope="system")
async def noted(ctx: owlrunner.JobContext, params: Noted) -> None:
    """Be given them."""


@attrs.frozen
class Rates:
    """Params that are stored with a point."""

    by_name: dict[str, float]


@owlrunner.job_type(scope="system")
async def padded(ctx: owlrunner.JobContext, params: Rates) -> None:
    """Be given them."""


def test_params_that_are_too_large_are_not_decoded() -> None:
    """What will be refused takes no time; with a byte less it is stored."""
    text = checked_params(noted, {"text": "x" * LONGEST})
    assert text is not None
    assert len(text) == MAX_PARAMS_BYTES
    Noted.decoded.clear()
    with pytest.raises(InvalidParams, match=REFUSED):
        checked_params(noted, {"text": "x" * (LONGEST + 1)})
    assert Noted.decoded == []


def test_params_that_decoding_makes_too_large_are_refused() -> None:
    """What counts besides is what would be stored: whole numbers that become floats have two characters more."""
    name = "x" * (MAX_PARAMS_BYTES - len('{"by_name":{"":1}}') - 1)
    with pytest.raises(InvalidParams, match=REFUSED):
        checked_params(padded, {"by_name": {name: 1}})


def test_numbers_that_are_slow_to_read_are_not_decoded() -> None:
    """Strings that would become numbers with very many digits in all are refused before that."""
    with pytest.raises(
        InvalidParams, match=r"^params: the exponents of numbers such as 1e300 add up to more than 1,000,000$"
    ):
        checked_params(padded, {"by_name": {str(number): "1e300" for number in range(4000)}})
