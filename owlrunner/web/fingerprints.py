"""This is the room for telling in a short text what a client has: a fingerprint of each thing, one after the other.

It goes to the client as the id of an event, and comes back when a lost stream is asked for anew, from any server.
"""

import base64
import hashlib

LENGTH = 8
"""Characters of a fingerprint."""


def fingerprint(*texts: bytes) -> str:
    """Of one thing."""
    digest = hashlib.blake2s(b"\n".join(texts), digest_size=LENGTH * 3 // 4).digest()
    return base64.urlsafe_b64encode(digest).decode()


def split(text: str) -> frozenset[str]:
    """The fingerprints that a text is made of. What cannot be one does no harm: it fits nothing."""
    return frozenset(text[at : at + LENGTH] for at in range(0, len(text), LENGTH))
