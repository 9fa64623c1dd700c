"""This is the room for drawing: the templates, and what all of them know."""

from typing import Any

import jinja2

from owlrunner.durations import format_age, format_whole_seconds
from owlrunner.web.dashboard import words
from owlrunner.web.dashboard.static_files import STATIC
from owlrunner.web.rendering import instant

_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("owlrunner.web.dashboard"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    # A name that a template gets wrong is an error, not an empty place.
    undefined=jinja2.StrictUndefined,
)
_TEMPLATES.filters |= {
    "moment": words.moment,
    "instant": instant,
    "pretty": words.pretty,
    "grouped": words.grouped,
    "duration": words.duration,
    "rough": words.rough,
    "whole": format_whole_seconds,
    "age": format_age,
}
_TEMPLATES.globals |= {"static": STATIC}
_COMMON: dict[str, Any] = {"who": None, "team": None, "here": "", "live": None, "problem": None}
"""What the frame around every page asks for."""


def draw(template: str, **context: Any) -> str:
    """The page."""
    return _TEMPLATES.get_template(f"{template}.html").render(_COMMON | context)


def draw_part(part: str, *arguments: Any) -> str:
    """One of the macros in ``templates/live.html``."""
    macro = getattr(_TEMPLATES.get_template("live.html").module, part)
    return str(macro(*arguments)).strip()
