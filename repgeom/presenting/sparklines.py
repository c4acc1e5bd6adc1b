"""A small picture of a series of numbers, as an <svg> element in the colour of the text around it."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

_WIDTH, _HEIGHT = 320, 64
_MOST_POINTS = 160  # more than so many cannot be told apart at this width
_LEAST = 1e-8  # smaller shares stand on the lower edge


def line_picture(values: np.ndarray, title: str, *, log: bool = True) -> Markup:
    """A line through these numbers, from left to right; empty where fewer than two of them are known.

    Args:
        values: (n,) numbers. With `log` those of 0 and less are not drawn, else the axis begins at 0.
        title: what it shows, for those who hover or listen.
        log: whether the vertical axis is logarithmic.
    """
    places = np.unique(np.linspace(0, len(values) - 1, min(len(values), _MOST_POINTS)).round().astype(int))
    heights = values[places].astype(float)
    drawn = np.isfinite(heights) & ((heights > 0) if log else True)
    if drawn.sum() < 2:
        return Markup("")
    places, heights = places[drawn], heights[drawn]
    low, high = 0.0, float(heights.max())
    if log:
        heights = np.log10(np.maximum(heights, _LEAST))
        low, high = float(heights.min()), float(heights.max())
    scale = (_HEIGHT - 6) / (high - low) if high > low else 0.0
    x = 2 + places * ((_WIDTH - 4) / (len(values) - 1))
    y = _HEIGHT - 3 - (heights - low) * scale
    path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
    return Markup(
        '<svg width="{0}" height="{1}" viewBox="0 0 {0} {1}" role="img" aria-label="{2}"><title>{2}</title>'
        '<path d="M1 0V{3}H{0}" fill="none" stroke="currentColor" stroke-opacity=".3"/>'
        '<path d="{4}" fill="none" stroke="currentColor" stroke-width="1.6"/></svg><p class="soft">{2}</p>'
    ).format(_WIDTH, _HEIGHT, title, _HEIGHT - 1, path)
