"""The crisis layer: it works before any model, without any model."""

from .screening import Screening, screen

__all__ = ["Screening", "screen"]
