"""What users may rely on: commands, JSON fields, public names. `python -m tests.surface > docs/stable.md` writes the page."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import repgeom as rg
from docs.generate import SUBMODULES
from repgeom.cli.completion import _commands_of
from repgeom.cli.main import _parser

SCHEMA = Path(rg.__file__).parent / "auditing" / "report.schema.json"
MODULES = ("", *SUBMODULES)
HEAD = """\
# What stays as it is

From 0.2.0 on, a name below is kept from one minor version to the next. One that must go warns for a whole minor version
first, and the changelog says so. New names may come at any time. A test holds this page equal to the code.

Not promised: modules inside the rooms (`repgeom.spectral`, ...), the words of messages, the layout of pages and plots, and the
last digits of a number. Numbers that change on purpose stand in the changelog under "Values".
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *_commands(), *_fields(), *_names()]) + "\n"


def _commands() -> Iterator[str]:
    yield "## Command line\n"
    yield "Exit status: 0 audited; 1 a limit that was asked for is reached; 2 no verdict; 130 interrupted.\n"
    for command in _commands_of(_parser()):
        yield f"* `{f'repgeom {command.name}'.strip()}`: {_listed(command.names)}"
    yield ""


def _fields() -> Iterator[str]:
    schema = json.loads(SCHEMA.read_text())
    version = schema["$defs"]["report"]["properties"]["schema_version"]["const"]
    yield f"## Fields of a report's JSON, schema version {version}\n"
    for name, part in schema["$defs"].items():
        if part.get("properties"):
            yield f"* {name}: {_listed(part['properties'])}"
    yield ""


def _names() -> Iterator[str]:
    yield "## Public names of Python, with the arguments of functions\n"
    for module in MODULES:
        place = getattr(rg, module) if module else rg
        prefix = f"rg.{module}." if module else "rg."
        yield f"### `{prefix.rstrip('.')}`\n"
        for name in sorted(place.__all__):
            yield f"* `{name}{_arguments(getattr(place, name))}`"
        yield ""


def _arguments(value: Any) -> str:
    if not inspect.isroutine(value):
        return ""
    return f"({', '.join(_argument(p) for p in inspect.signature(value).parameters.values())})"


def _argument(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    return f"{stars}{parameter.name}"


def _listed(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    print(page(), end="")
