"""Results in a notebook and in print: a class that has this base is shown as a short table instead of as its fields."""

from __future__ import annotations


class ShownInNotebook:
    """A result that a notebook shows by `repgeom.presenting.notebook`, and print by `.printed`, which are loaded only then."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from repgeom.presenting.notebook import shown

        return shown(self)

    def __str__(self) -> str:
        from repgeom.presenting.printed import printed

        return printed(self)
