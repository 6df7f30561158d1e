"""Data sets: turns that passed a filter, without personal data, approved by a person, split and frozen.

services.create ─► build.run_slice … ─► REVIEW ─► services.decide / edit ─► services.freeze ─► files.write_openai
                    examples.py makes them, personal/ replaces, similar.py finds doubles, split.py keeps the parts apart
"""
