"""HTML pages in the style of the reports, for code that builds on this package: templates, and charts that fit any window."""

from repgeom.presenting.charts import DotChart, LineChart, Series
from repgeom.presenting.templates import templates

__all__ = ["DotChart", "LineChart", "Series", "templates"]
