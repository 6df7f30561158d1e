"""Wiring. Celery is loaded where it works (config.celery) and where something is sent to it (llm/wake.py)."""
