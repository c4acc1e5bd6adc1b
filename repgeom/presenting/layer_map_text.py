"""A map of layers against layers as text: columns in blocks that fit the screen, under numbers where names are too long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from repgeom.presenting.cells import cells, shortened, to_left, to_right, told_apart, without_shared
from repgeom.presenting.screen import Screen

if TYPE_CHECKING:
    from repgeom.models.layer_map import LayerMap

_VALUE = 6  # cells of a number such as -0.001
_MOST_OF_A_HEAD = 12  # cells of a name above a column; longer ones are numbered
_GAP = "  "


def layer_map_text(found: LayerMap, screen: Screen | None = None) -> str:
    """The measure, the values, what the columns' numbers stand for, and notes.

    Args:
        found: what `cka_map` returned.
        screen: what it is laid out for; by default as piped output.
    """
    screen = screen or Screen()
    rows, row_frame = _short(found.rows, screen)
    columns, column_frame = _short(found.columns, screen)
    lines = screen.sentence(f"{found.measure}: {found.row_name} × {found.column_name}, {found.n_used:,} rows")
    frames = [("Rows", row_frame), ("Columns", column_frame)]
    if found.rows == found.columns:
        frames = [("Layers", row_frame)]
    for what, frame in frames:
        if frame:
            lines += screen.sentence(f"{what}: {frame}")
    heads = columns
    legend: list[str] = []
    if max(map(cells, columns)) > _MOST_OF_A_HEAD:
        heads = [str(i + 1) for i in range(len(columns))]
        if found.rows == found.columns:
            rows = [f"{i + 1} {name}" for i, name in enumerate(rows)]
        else:
            named = ", ".join(f"{i + 1} {name}" for i, name in enumerate(columns))
            legend = screen.sentence(f"Columns: {named}.", further="  ")
    lines += _blocks(found, rows, heads, screen)
    for sentence in [*legend, *(line for note in found.notes for line in screen.sentence(note, further="  "))]:
        lines.append(sentence)
    return "\n".join(lines)


def _short(layers: Sequence[str], screen: Screen) -> tuple[list[str], str]:
    """The layers' names without what they share, and what that is."""
    names, frame = without_shared([screen.shown(layer) for layer in layers])
    return told_apart(names, screen.width // 3, screen.mark), shortened(screen.shown(frame), screen.width // 2)


def _blocks(found: LayerMap, rows: Sequence[str], heads: Sequence[str], screen: Screen) -> list[str]:
    """As many columns beside each other as a line holds, then the next ones below."""
    first = max(map(cells, rows))
    width = max(_VALUE, *map(cells, heads))
    together = max(1, (screen.width - first) // (width + len(_GAP)))
    lines: list[str] = []
    for start in range(0, len(heads), together):
        some = range(start, min(start + together, len(heads)))
        if start:
            lines.append("")
        lines.append(_GAP.join([to_left("", first), *(to_right(heads[j], width) for j in some)]))
        for i, name in enumerate(rows):
            values = [to_right(_value(float(found.values[i, j]), screen), width) for j in some]
            lines.append(_GAP.join([to_left(name, first), *values]))
    return lines


def _value(value: float, screen: Screen) -> str:
    if value != value:
        return screen.shown("–")
    text = f"{value:.3f}"
    if float(text) == 0:
        return "0.000"  # without the sign of what was rounded away
    return text
