"""Addresses: what is one, and in which form it travels."""

import pytest

from owlrunner.email_address import parse_address


@pytest.mark.parametrize(
    ("text", "sent", "needs_smtputf8"),
    [
        ("ann@acme.test", "ann@acme.test", False),
        ("owlrunner@localhost", "owlrunner@localhost", False),
        ("Ann.O'Neil+jobs@Acme.test", "Ann.O'Neil+jobs@Acme.test", False),
        ("ops@bücher.example", "ops@xn--bcher-kva.example", False),
        ("ops@faß.example", "ops@xn--fa-hia.example", False),
        ("jörg@bücher.example", "jörg@xn--bcher-kva.example", True),
        ("jo\u0308rg@acme.test", "jörg@acme.test", True),
    ],
)
def test_an_address_is_sent_in_one_form(text: str, sent: str, needs_smtputf8: bool) -> None:
    """Domains become ASCII; what stands before the @ stays, in Unicode's composed form."""
    address = parse_address(text)
    assert (str(address), address.needs_smtputf8) == (sent, needs_smtputf8)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "@acme.test",
        "ann@",
        "ann@acme..test",
        "ann@-acme.test",
        "ann@acme.test.",
        "ann@acme.test\n",
        "ann@bü cher.example",
        "ann@\u0308.example",
        "a b@acme.test",
        "a..b@acme.test",
        ".a@acme.test",
        "a.@acme.test",
        "a@b@acme.test",
        "a\x00@acme.test",
        "a\ud800@acme.test",
        "a\u202e@acme.test",
        "a\u3000b@acme.test",
        "Ann <ann@acme.test>",
        "ann@acme.test, eve@acme.test",
        "ä" * 33 + "@acme.test",
        "ann@" + "a." * 124 + "test",
        "ann@" + "ü" * 60 + ".test",
    ],
)
def test_what_is_no_single_address_is_refused(text: str) -> None:
    """Nothing that is no address, more than one, too long, or dangerous in a header, is taken."""
    with pytest.raises(ValueError, match=r"^(it is|what follows the @ is) "):
        parse_address(text)
