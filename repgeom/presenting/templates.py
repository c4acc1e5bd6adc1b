"""How a page is put together: one frame, one style sheet and one script for every report, and parts that a template calls."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from repgeom.data.settings import own_settings
from repgeom.presenting.cells import shortened, told_apart
from repgeom.presenting.escaping import printable
from repgeom.presenting.marks import dots_of, lines_of, looks_of
from repgeom.presenting.text import number

if TYPE_CHECKING:
    from jinja2 import Environment


@own_settings
def templates(folder: str | os.PathLike[str] | None = None) -> Environment:
    """Templates of Jinja for a page in the style of the reports: nothing to load, dark and light, narrow and printed.

    A template begins with `{% extends "page.html.j2" %}` and fills the blocks `title`, `main` and `footer`. With
    `{% from "parts.html.j2" import line_chart, dot_chart, table_of, level with context %}` it has the parts of a report:
    `line_chart(LineChart(...))`, `dot_chart(DotChart(...))`, `table_of(rows, caption)` with a header first, and `level(word, kind)`
    with the kind "ok", "warn" or "fail". Text is escaped, and a name that the template misspells is an error, not a gap.

    Args:
        folder: with templates of your own; without it there are those of this package.

    Returns:
        The environment; `templates(folder).get_template(name).render(...)` gives the page's text.

    >>> own = '{% extends "page.html.j2" %}{% block title %}Mine{% endblock %}{% block main %}<h1>{{ name }}</h1>{% endblock %}'
    >>> "<h1>&lt;b&gt;</h1>" in templates().from_string(own).render(name="<b>")
    True
    """
    from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined

    from repgeom import __version__

    loaders: list[Any] = [PackageLoader("repgeom", "presenting")]
    if folder is not None:
        loaders.insert(0, FileSystemLoader(folder))
    made = Environment(
        loader=ChoiceLoader(loaders), autoescape=True, undefined=StrictUndefined, trim_blocks=True, finalize=_shown
    )
    made.globals.update(
        lines_of=lines_of,
        dots_of=dots_of,
        looks_of=looks_of,
        short_names=_short_names,
        number=number,
        version=__version__,
    )
    made.filters.update(printable=lambda text: printable(str(text)), shortened=shortened, together=_together)
    return made


@functools.cache
def own_templates() -> Environment:
    """The templates of this package, read once."""
    return templates()


def _short_names(names: Iterable[Any], most: int) -> list[str]:
    return told_apart([printable(str(name)) for name in names], most)


def _together(text: str) -> str:
    """A sentence in which no line ends between a number and its percent sign."""
    return re.sub(r"(?<=\d) (?=%)", "\u00a0", printable(str(text)))


def _shown(value: Any) -> Any:
    """What a template writes for a value: text without control characters. Markup stays as it is."""
    if type(value) is str:
        return printable(value)
    return value
