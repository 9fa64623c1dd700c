"""Read the form of a request, within bounds: as it is read by the event loop, it must be neither long nor in very many parts."""

from functools import partial
from urllib.parse import unquote_to_bytes

from quart import request
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from owlrunner.large_input import decoded

MAX_FORM = 512 * 1024
"""Bytes: the largest params, percent-encoded."""
MAX_STRANGERS_FORM = 16 * 1024
MOST_FIELDS = 1000
MOST_ESCAPES = 150_000
"""Percent signs: each takes longer to decode than a hundred letters."""


async def read_form(*, signed_in: bool) -> None:
    """Read the form, which ``request.form`` has from then on.

    Raises RequestEntityTooLarge, UnsupportedMediaType and BadRequest.

    What is no form is read within the same bounds, because nothing that is posted to a page is anything else.
    """
    if request.mimetype == "multipart/form-data":
        # No form of ours is sent in that way, which takes longer to read.
        raise UnsupportedMediaType
    raw = await request.get_data(cache=True, as_text=False, parse_form_data=False)
    is_long = len(raw) > (MAX_FORM if signed_in else MAX_STRANGERS_FORM)
    if is_long or raw.count(b"&") >= MOST_FIELDS or raw.count(b"%") > MOST_ESCAPES:
        raise RequestEntityTooLarge
    if b"%" in raw:
        await decoded(partial(_require_text, raw), len(raw))
    await request.form


def _require_text(raw: bytes) -> None:
    """Raise BadRequest for what is no UTF-8: it would be stored as something else."""
    try:
        unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise BadRequest("This form is not valid UTF-8") from None


async def form_size() -> int:
    """How many bytes the form has that the request brought, whether it told its length or not."""
    return len(await request.get_data(cache=True, as_text=False, parse_form_data=False))
