"""The command ``owlrunner``: each module holds one group of commands, and imports what is heavy inside them."""

from owlrunner.cli.entry import main

__all__ = ["main"]
