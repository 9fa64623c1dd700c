"""How a broken promise is told."""


class Broken(Exception):
    """A promise was broken, as the sentence says."""
