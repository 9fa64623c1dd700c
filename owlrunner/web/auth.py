"""This is the room for finding the credential that a request carries."""

from hypercorn.typing import HTTPScope

from owlrunner.errors import Unauthenticated
from owlrunner.web.site import Site

BROWSER_SECONDS = 365 * 24 * 60 * 60


def credential_of(scope: HTTPScope, cookie_name: str) -> str:
    """The raw key or token: from the Authorization header if there is one, else from the cookie. Raises Unauthenticated."""
    cookie: bytes | None = None
    authorization: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            if authorization is not None:
                raise Unauthenticated("Invalid authorization format")
            authorization = value
        elif name == b"cookie" and cookie is None:
            cookie = _token_in(value, cookie_name.encode() + b"=")
    if authorization is not None:
        scheme, _, token = authorization.partition(b" ")
        if scheme != b"Bearer" or not token or b" " in token:
            raise Unauthenticated("Invalid authorization format")
        return token.decode("latin-1")
    if not cookie:
        raise Unauthenticated("Missing authorization")
    return cookie.decode("latin-1")


def _token_in(cookies: bytes, begins: bytes) -> bytes | None:
    """The value of our cookie in a Cookie header."""
    for pair in cookies.split(b";"):
        pair = pair.strip()  # noqa: PLW2901
        if pair.startswith(begins):
            return pair.removeprefix(begins)
    return None


def token_cookie(site: Site, token: str, *, seconds: int) -> tuple[bytes, bytes]:
    """The header that puts a token into the browser; with 0 seconds, the one that takes it out."""
    return _cookie(site, site.cookie, token, seconds)


def browser_cookie(site: Site, key: str) -> tuple[bytes, bytes]:
    """The header that lets a browser be known again for a year."""
    return _cookie(site, site.browser_cookie, key, BROWSER_SECONDS)


def _cookie(site: Site, name: str, value: str, seconds: int) -> tuple[bytes, bytes]:
    secure = "; Secure" if site.tls else ""
    attributes = f"{name}={value}; Max-Age={seconds}; Path=/; HttpOnly; SameSite=Lax{secure}"
    return (b"set-cookie", attributes.encode("ascii"))
