"""The crisis layer: it works before any model, without any model."""

from .screening import Screening, elevated, screen

__all__ = ["Screening", "elevated", "screen"]
