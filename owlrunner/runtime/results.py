"""Turn what a handler returned into JSON that PostgreSQL keeps, or into the reason why there is none."""

from typing import Any

import msgspec

from owlrunner.decoding import storable_json, storable_text, unstorable_number
from owlrunner.raised_errors import describe

MAX_RESULT_BYTES = 1024 * 1024


def result_json(result: Any) -> str | None:
    """What the handler returned as JSON text for the column ``result``: an object, or None.

    A handler that returns has done its work, so a result that cannot be kept does not make its run a failure: what is
    stored then says why, under the key ``unstorable``.
    """
    if result is None:
        return None
    try:
        return _encoded(result)
    except BaseException as problem:  # noqa: BLE001 - reading the result runs the plugin's code: properties, iterators
        return unstorable(describe(problem))


def unstorable(why: str) -> str:
    """What stands for a result that cannot be kept."""
    return msgspec.json.encode({"unstorable": storable_text(why)}).decode()


def _encoded(result: Any) -> str:
    """As a JSON object, without anything that PostgreSQL refuses or that would be read as something else."""
    try:
        encoded = msgspec.json.encode(result)
    except UnicodeEncodeError:  # half a surrogate pair
        encoded = b"\\u0000"
    if len(encoded) > MAX_RESULT_BYTES:
        raise ValueError(f"{len(encoded):,} bytes as JSON, and at most {MAX_RESULT_BYTES:,} are kept")
    if b"\\u0000" in encoded:
        encoded = msgspec.json.encode(storable_json(msgspec.to_builtins(result)))
    # NaN and infinity become null in JSON, unless they are keys, which become texts.
    if b"null" in encoded and (number := unstorable_number(msgspec.to_builtins(result, str_keys=True))) is not None:
        raise ValueError(f"{number} has no form in JSON")
    # msgspec.Raw is put in as it is, whatever it is: half an object could end the statement's own.
    msgspec.json.decode(encoded)
    text = encoded.decode()
    return text if text.startswith("{") else f'{{"value":{text}}}'
