"""What the worker processes run: one module a contestant."""
