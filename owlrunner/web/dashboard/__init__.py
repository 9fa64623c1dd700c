"""This is the room for the pages of team admins: drawn on the server, readable without JavaScript."""

from owlrunner.web.dashboard.pages import add_pages

__all__ = ["add_pages"]
