"""Names of several results as they are shown together: short, and no two alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from repgeom.presenting.cells import shortened
from repgeom.presenting.escaping import printable


def short_names(names: Iterable[str], most: int) -> list[str]:
    """These names without their middle where they are long. Such as would then be alike get their number behind them.

    >>> short_names(["a", "b", "a"], 10)
    ['a [1]', 'b', 'a [3]']
    """
    short = [shortened(printable(str(name)), most) for name in names]
    times = Counter(short)
    return [f"{name} [{i}]" if times[name] > 1 else name for i, name in enumerate(short, 1)]
