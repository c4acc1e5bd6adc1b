"""Text that fits a terminal, for code that builds on this package: tables whose columns go in an order, sentences broken between words."""

from repgeom.presenting.columns import Column, table_lines
from repgeom.presenting.screen import Screen, screen_of

__all__ = ["Column", "Screen", "screen_of", "table_lines"]
