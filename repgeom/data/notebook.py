"""Results in a notebook: a class that has this base is shown as a short table instead of as its fields."""

from __future__ import annotations


class ShownInNotebook:
    """A result that a notebook shows by `repgeom.presenting.notebook`, which is loaded only then."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from repgeom.presenting.notebook import shown

        return shown(self)
