"""What a name, an address, a code and a token may be."""

import re

import pytest

from owlrunner.accounts.credentials import (
    LONGEST_KEY_DAYS,
    checked_days,
    checked_name,
    new_code,
    new_token,
    normal_email,
    slug_of,
)
from owlrunner.accounts.sign_up import SignUp
from owlrunner.errors import InvalidRequest


@pytest.mark.parametrize(
    "name",
    [
        "A",
        "a" * 255,
        "Zoë 🦉",
        "👩\u200d💻",
        "\u0645\u06cc\u200c\u062e",
        "a" + chr(0xD7FF),
        "a" + chr(0xE000),
        "a b",
        "\u2764\ufe0f",
    ],
)
def test_a_name(name: str) -> None:
    """1 to 255 characters that can be stored; what stands around them is not part of it."""
    assert checked_name(f" {name}\n") == name


UNSEEN_OR_HALF = (
    *(0x7F, 0x9B, 0xAD, 0x61C, 0x200B, 0x200F, 0x2028, 0x202A, 0x202E, 0x2060, 0x2066, 0x2069, 0xFEFF, 0xE0041),
    *(0x34F, 0x115F, 0x1160, 0x17B4, 0x180B, 0x206F, 0x2800, 0x3164, 0xFE00, 0xFE0E, 0xFFA0, 0xFFF9, 0x1D173, 0xE0100),
    *(0xD800, 0xDBFF, 0xDFFF),
)


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        " \t",
        "a" * 256,
        "a\x1fb",
        "a\nb",
        *("a" + chr(code) + "b" for code in UNSEEN_OR_HALF),
        "\u200d\u200c",
        "\ufe0f\u200d",
    ],
)
def test_no_name(name: str | None) -> None:
    """Nothing, too much, what nobody sees or turns text around, and halves of surrogate pairs are refused."""
    with pytest.raises(InvalidRequest, match="title: expected 1 to 255 printable characters"):
        checked_name(name, "title")


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("Acme Inc.", "acme-inc"),
        ("--a--", "a"),
        ("a" * 201, "a" * 200),
        ("a" * 199 + " b", "a" * 199),
        ("Ünïcode", "n-code"),
        ("!", ""),
    ],
)
def test_a_slug(text: str, slug: str) -> None:
    """Lower-case letters and digits with single hyphens in between, at most two hundred."""
    assert slug_of(text) == slug


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (" Ada@Acme.Test ", "ada@acme.test"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("ädä@acme.test", None),
        ("ada", None),
        (None, None),
    ],
)
def test_an_address(text: str | None, address: str | None) -> None:
    """Trimmed, in lower case, in ASCII; letters beyond it are for the domain alone."""
    assert normal_email(text) == address


@pytest.mark.parametrize("days", [None, 1, LONGEST_KEY_DAYS])
def test_how_long_a_key_may_live(days: int | None) -> None:
    """For ever, or from one day to ten years."""
    assert checked_days(days) == days


@pytest.mark.parametrize("days", [-1, 0, LONGEST_KEY_DAYS + 1])
def test_how_long_a_key_may_not_live(days: int) -> None:
    """Less than a day and more than ten years are refused."""
    with pytest.raises(InvalidRequest, match=f"expires_in_days: expected a number from 1 to 3650, got {days}"):
        checked_days(days)


@pytest.mark.parametrize(("number", "code"), [(0, "100000"), (899_999, "999999")])
def test_every_code_of_six_digits_may_be_drawn(monkeypatch: pytest.MonkeyPatch, number: int, code: str) -> None:
    """The first and the last number that chance can give make the smallest and the largest of them."""

    def drawn(below: int) -> int:
        assert below == 900_000
        return number

    monkeypatch.setattr("owlrunner.accounts.credentials.secrets.randbelow", drawn)
    assert new_code() == code


def test_codes_and_tokens() -> None:
    """Six digits, the first not 0; sixty-four digits of base 16."""
    assert all(re.fullmatch(r"[1-9]\d{5}", new_code()) for _ in range(1000))
    assert re.fullmatch(r"[0-9a-f]{64}", new_token())


@pytest.mark.parametrize(
    ("sign_up", "address", "allowed"),
    [
        (SignUp(), "a@b.test", True),
        (SignUp(is_open=False), "a@b.test", False),
        (SignUp(domains=frozenset(["b.test"])), "a@b.test", True),
        (SignUp(domains=frozenset(["b.test"])), '"a@b.test"@c.test', False),
        (SignUp(domains=frozenset(["b.test"])), '"a@c.test"@b.test', True),
    ],
)
def test_who_may_sign_up(sign_up: SignUp, address: str, allowed: bool) -> None:
    """Everybody, nobody, or those of some domains: what stands behind the last @."""
    assert sign_up.allows(address) is allowed
