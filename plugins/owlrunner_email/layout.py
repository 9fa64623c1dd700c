"""This is the room for what a mail looks like, as plain text and as HTML."""

import html
import re

LONGEST_VALUE = 20_000
"""How many characters of a result or an error a mail holds: mail servers refuse what is too large, and nobody reads on."""
_WEB_ADDRESS = re.compile(r"https?://\S+")
# No colours but one that can be seen on both white and black: light or dark is the reader's choice.
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
</head>
<body style="font-family: sans-serif">
{details}<p><small>{why}</small></p>
</body>
</html>
"""
_BLOCK = (
    '<pre style="white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid #888; padding-left: 12px">'
    "{value}</pre>\n"
)


def shortened(value: str) -> str:
    """At most LONGEST_VALUE characters of a value, and a line that says so where some are missing."""
    if len(value) <= LONGEST_VALUE:
        return value
    return f"{value[:LONGEST_VALUE]}\n… cut here: {len(value) - LONGEST_VALUE:,} more characters are kept with the run"


def text_part(details: list[tuple[str, str]], why: str) -> str:
    """The mail as plain text."""
    lines = (f"{caption}:\n{value}" if "\n" in value else f"{caption}: {value}" for caption, value in details)
    return "\n".join((*lines, "", why, ""))


def html_part(details: list[tuple[str, str]], why: str) -> str:
    """The mail as HTML: nothing in it is fetched from anywhere, and every value is text."""
    return _PAGE.format(details="".join(_paragraph(*detail) for detail in details), why=html.escape(why))


def _paragraph(caption: str, value: str) -> str:
    bold, escaped = f"<b>{html.escape(caption)}:</b>", html.escape(value)
    if "\n" in value:
        return f"<p>{bold}</p>\n{_BLOCK.format(value=escaped)}"
    if caption == "Link" and _WEB_ADDRESS.fullmatch(value):
        escaped = f'<a href="{escaped}">{escaped}</a>'
    return f"<p>{bold} {escaped}</p>\n"
