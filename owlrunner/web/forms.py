"""Read the form of a request, within bounds: as it is read by the event loop, it must be neither long nor in very many parts."""

from quart import request
from werkzeug.exceptions import RequestEntityTooLarge

MAX_FORM = 512 * 1024
"""Bytes: the largest params, percent-encoded."""
MAX_STRANGERS_FORM = 16 * 1024
MOST_FIELDS = 1000


async def read_form(*, signed_in: bool) -> None:
    """Read the form, which ``request.form`` has from then on. Raises RequestEntityTooLarge.

    What is no form is read within the same bounds, because nothing that is posted to a page is anything else.
    """
    raw = await request.get_data(cache=True, as_text=False, parse_form_data=False)
    if len(raw) > (MAX_FORM if signed_in else MAX_STRANGERS_FORM) or raw.count(b"&") >= MOST_FIELDS:
        raise RequestEntityTooLarge
    await request.form


def form_size() -> int:
    """How many bytes the form has that the request brought."""
    return request.content_length or 0
