"""The experiments are rooms, as the package is: each imports only what stands before it."""

import ast
from pathlib import Path

import pytest

import repgeom_examples.distillation

HOUSE = Path(repgeom_examples.distillation.__file__).parent
BESIDE = {"__init__", "outside", "progress", "stored", "wording"}  # which every room may use
ROOMS = ["settings", "data", "teachers", "students", "measuring", "claims", "running", "reporting", "command", "cli"]


def rooms_used(path):
    """The rooms that a file imports from, wherever in the file; its own is one of them."""
    place = list(path.relative_to(HOUSE).parent.parts)
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = place[: len(place) - node.level + 1]
            dotted = [*base, *filter(None, (node.module or "").split("."))]
            found |= {[*dotted, alias.name][0] for alias in node.names}
    return found


def test_the_rooms_are_the_folders():
    folders = {p.parent.name for p in HOUSE.glob("*/__init__.py")}
    assert folders == set(ROOMS) - {"cli"}
    assert {p.stem for p in HOUSE.glob("*.py")} == BESIDE | {"cli"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_before_it(room):
    allowed = {*ROOMS[: ROOMS.index(room) + 1], *BESIDE}
    files = sorted((HOUSE / room).glob("*.py")) or [HOUSE / f"{room}.py"]
    for path in files:
        assert rooms_used(path) <= allowed, path


def test_what_stands_beside_the_rooms_imports_none():
    for name in BESIDE:
        assert rooms_used(HOUSE / f"{name}.py") <= BESIDE, name
