"""Repeatable benchmarks of the whole application with a fake model server: `python -m bench`."""
