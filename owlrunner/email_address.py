"""Decide what an email address is, and in which form mail servers are given it."""

import re
import unicodedata

import attrs
import idna

LONGEST = 254
"""Octets of a whole address, as SMTP limits it."""
LONGEST_LOCAL_PART = 64
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]+"
_LOCAL_PART = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
"""No quoting, no comments, nothing with a meaning in a header, and dots between other characters only, as mail servers want it.
And letters of any script."""
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


@attrs.frozen
class EmailAddress:
    """An address as it is sent: ``str()`` stands in envelopes and headers."""

    local_part: str
    domain: str
    """In ASCII: an internationalised domain name as DNS knows it (IDNA 2008)."""

    def __str__(self) -> str:
        """The address."""
        return f"{self.local_part}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        """Whether only a mail server that offers SMTPUTF8 can take it: for domains there is an ASCII form, for this part none."""
        return not self.local_part.isascii()


def parse_address(text: str) -> EmailAddress:
    """Return the one address that ``text`` is. Looks up nothing: whether the domain exists is found out by sending.

    Raises ValueError with a sentence.
    """
    local_part, at, domain = unicodedata.normalize("NFC", text).rpartition("@")
    if not at or not _LOCAL_PART.fullmatch(local_part) or not local_part.isprintable():
        raise ValueError("it is not one address like ops@example.com")
    try:
        address = EmailAddress(local_part, domain_in_ascii(domain))
    except ValueError:
        raise ValueError("what follows the @ is no domain name") from None
    if len(local_part.encode()) > LONGEST_LOCAL_PART or len(str(address).encode()) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST_LOCAL_PART} octets before the @, or {LONGEST} as a whole")
    return address


def domain_in_ascii(domain: str) -> str:
    """Return a domain name as DNS knows it. Raises ValueError for what is none."""
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise ValueError(f"{domain!r} is no domain name: {error}") from None
    if not _DOMAIN.fullmatch(domain):
        raise ValueError(f"{domain!r} is no domain name")
    return domain
