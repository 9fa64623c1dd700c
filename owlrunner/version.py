"""This is the room for the version of the installed OwlRunner."""

from importlib.metadata import version

VERSION = version("owlrunner")
