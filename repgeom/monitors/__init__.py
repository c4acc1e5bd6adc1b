"""Rank and collapse watched while a model trains: fresh rows of single steps, or a probe that stays the same."""

from repgeom.monitors.collapse import EmbeddingCollapse
from repgeom.monitors.logs import csv_log
from repgeom.monitors.monitor import Monitor

__all__ = ["EmbeddingCollapse", "Monitor", "csv_log"]
