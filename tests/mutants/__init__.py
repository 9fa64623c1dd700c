"""Mutants: the code is changed in one place, and some test must notice."""
