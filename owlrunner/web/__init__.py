"""This is the room for everything that speaks HTTP."""
