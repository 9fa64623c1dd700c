"""Serve what pages are made of, from memory: no file is opened for a request, so neither a name nor a lack of descriptors can fail.

The path has a hash of them all in it: what a browser keeps under it never changes, and no page gets the scripts of another version.
"""

import gzip
import hashlib
import mimetypes
from importlib.resources import files

import attrs
from quart import Blueprint, Response, abort, request

_YEAR = 365 * 24 * 3600


@attrs.frozen
class _File:
    content_type: str
    plain: bytes
    packed: bytes


def _read() -> dict[str, _File]:
    read = {}
    for entry in files("owlrunner.web.dashboard").joinpath("static").iterdir():
        kind, _ = mimetypes.guess_type(entry.name)
        plain = entry.read_bytes()
        read[entry.name] = _File(
            f"{kind or 'application/octet-stream'}; charset=utf-8", plain, gzip.compress(plain, mtime=0)
        )
    return read


_FILES = _read()
STATIC = "/dashboard/static/" + hashlib.sha256(b"".join(_FILES[name].plain for name in sorted(_FILES))).hexdigest()[:12]


def add_routes(pages: Blueprint) -> None:
    """Add the route of all files."""

    @pages.get(f"{STATIC}/<path:name>")
    async def static(name: str) -> Response:
        file = _FILES.get(name)
        if file is None:
            abort(404)
        packed = "gzip" in request.headers.get("Accept-Encoding", "")
        response = Response(file.packed if packed else file.plain, content_type=file.content_type)
        if packed:
            response.headers["Content-Encoding"] = "gzip"
        response.headers["Vary"] = "Accept-Encoding"
        response.headers["Cache-Control"] = f"public, max-age={_YEAR}, immutable"
        return response
