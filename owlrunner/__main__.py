"""This is the room for ``python -m owlrunner``: the same as the command ``owlrunner``."""

from owlrunner.cli import main

if __name__ == "__main__":
    main()
