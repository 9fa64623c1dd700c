"""This is the room for the loops that run jobs: one loop, one file."""
