"""Docstrings as reStructuredText: sections become fields, `name` becomes code, and a link where it is a public name."""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any

from docs.generate import documented_names, public_names

_SECTION = re.compile(r"^(Args|Returns|Raises|Attributes):$")
_ITEM = re.compile(r"^([\w*]+(?:, [\w*]+)*): (.*)$")
_TITLES = {"Args": "Arguments", "Returns": "Returns", "Raises": "Raises", "Attributes": "Attributes"}


def process(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """What autodoc does with each docstring: `lines` are changed in place."""
    if what == "data":
        # A constant has no docstring of its own; this is its type's.
        lines[:] = []
        return
    lines[:] = _with_names_of_pictures(as_rst(lines, _types_of(value)), name.rpartition(".")[2])


def _with_names_of_pictures(lines: list[str], name: str) -> list[str]:
    """Each picture in a file of its own: without a name all those of a page would be written to one."""
    out = []
    for line in lines:
        out.append(line)
        if line == ".. plot::":
            out.append(f"    :filename-prefix: {name}")
    return out


class _Written:
    """An annotation that is shown as it is written in the code."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def signature(app: Any, what: str, name: str, value: Any, *_: Any) -> tuple[str, str | None] | None:
    """What autodoc shows of a call, with annotations as they are written. Records are returned, not made: theirs is left out."""
    if inspect.isclass(value) and (dataclasses.is_dataclass(value) or issubclass(value, (tuple, Exception))):
        return "", None
    if not callable(value):
        return None
    found = inspect.signature(value)
    parameters = [p.replace(annotation=_written(p.annotation)) for p in found.parameters.values()]
    if what == "method" and parameters and parameters[0].name in ("self", "cls"):
        parameters = parameters[1:]
    shown = str(found.replace(parameters=parameters, return_annotation=inspect.Signature.empty))
    returned = found.return_annotation
    if inspect.isclass(value) or returned is inspect.Signature.empty:
        return shown, None
    return shown, str(_written(returned))


def _written(annotation: Any) -> Any:
    return _Written(annotation) if isinstance(annotation, str) else annotation


def skip(app: Any, what: str, name: str, member: Any, skipped: bool, options: Any) -> bool | None:
    """Fields of named tuples stand with their class already; `Report.of` is how an audit makes one."""
    if (inspect.getdoc(member) or "").startswith("Alias for field number"):
        return True
    if getattr(member, "__qualname__", "") == "Report.of":
        return True
    return None


def _types_of(value: Any) -> dict[str, str]:
    """The annotations of a record's fields as they are written."""
    if not inspect.isclass(value):
        return {}
    return {name: str(kind) for name, kind in inspect.get_annotations(value).items() if isinstance(kind, str)}


def as_rst(lines: list[str], types: dict[str, str] | None = None) -> list[str]:
    """A docstring's lines as reStructuredText."""
    out: list[str] = []
    i = 0
    while i < len(lines):
        found = _SECTION.match(lines[i])
        if lines[i] == ".. plot::":
            end = _end_of_block(lines, i)
            out += lines[i:end]
            i = end
            continue
        if found is None:
            out += [_text(lines[i])] if not _is_example(lines, i) else [lines[i]]
            i += 1
            continue
        end = _end_of_block(lines, i)
        out += _section(found[1], [line[4:] for line in lines[i + 1 : end]], types or {})
        i = end
    return out


def _end_of_block(lines: list[str], i: int) -> int:
    """Where the indented lines after this one end."""
    end = i + 1
    while end < len(lines) and (not lines[end].strip() or lines[end].startswith("    ")):
        end += 1
    return end


def _is_example(lines: list[str], i: int) -> bool:
    """Whether a line belongs to a doctest: from >>> to the next empty line."""
    while i >= 0 and lines[i].strip():
        if lines[i].lstrip().startswith(">>>"):
            return True
        i -= 1
    return False


def _section(kind: str, lines: list[str], types: dict[str, str]) -> list[str]:
    out = [f":{_TITLES[kind]}:"]
    for line in lines:
        item = _ITEM.match(line) if kind != "Returns" else None
        if item is not None:
            names = ", ".join(f"``{name}``" for name in item[1].split(", "))
            kinds = {types[name] for name in item[1].split(", ") if name in types}
            if kind == "Attributes" and len(kinds) == 1:
                names += f" – {kinds.pop().replace('|', 'or')}"
            out += [f"    {names}", f"        {_text(item[2])}"]
        else:
            out.append(f"    {_text(line)}" if line.strip() else "")
    return [*out, ""]


def _text(line: str) -> str:
    """Prose: signs that mean something in reStructuredText are made plain, and `name` is code or a link."""
    bullet = re.match(r"^(\s*)\* ", line)
    start = bullet[0] if bullet else ""
    parts = re.split(r"(`[^`]+`)", line[len(start) :])
    return start + "".join(_code(part) if part.startswith("`") else _plain(part) for part in parts)


def _plain(text: str) -> str:
    return re.sub(r"[*|\\]|_(?=\W|$)", lambda sign: "\\" + sign[0], text)


def _code(part: str) -> str:
    name = part.strip("`")
    target = link_target(name)
    return f":py:obj:`{name} <{target}>`" if target else f"``{name}``"


def link_target(name: str) -> str | None:
    """The public name that a word in a docstring means, if it means one."""
    short = name.removesuffix("()").removeprefix("rg.").removeprefix("repgeom.")
    full = f"repgeom.{short}"
    if full in documented_names():
        return full
    if full in public_names():
        first = {id(value): known for known, value in documented_names().items()}
        return first[id(public_names()[full])]
    # "Report" or "LayerProfile", which stand in a module.
    if short[:1].isupper() and short.isidentifier():
        return next((known for known in documented_names() if known.endswith(f".{short}")), None)
    return None
