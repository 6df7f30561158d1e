"""Text to vectors: one adapter per file, chosen by COACH_EMBEDDER (registry.py)."""
