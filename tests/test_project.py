"""The project itself: what is public is documented, imports point one way, the wheel's list is the folders'."""

import ast
import doctest
import importlib
import inspect
import re
import tomllib
from pathlib import Path

import pytest

import repgeom as rg

ROOT = Path(__file__).parent.parent
PLACES = (
    rg,
    rg.corruptions,
    rg.demo,
    rg.files,
    rg.models,
    rg.monitors,
    rg.pages,
    rg.probes,
    rg.repair,
    rg.robustness,
    rg.terminal,
    rg.testing,
)
PUBLIC = [getattr(place, name) for place in PLACES for name in place.__all__]
FUNCTIONS = [f for f in PUBLIC if inspect.isfunction(f)]
TESTS = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))

# A room may import from rooms that stand before it. `types` and `testing` stand beside the rooms, as does `demo`.
ROOMS = [
    "data",
    "reading",
    "spectral",
    "measures",
    "inference",
    "corruptions",
    "probes",
    "repair",
    "robustness",
    "auditing",
    "models",
    "monitors",
    "presenting",
    "integrations",
    "cli",
]
BESIDE = {"__init__", "__main__", "files", "pages", "public", "terminal", "types", "testing", "demo"}


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_public_functions_are_documented_with_every_argument(f):
    doc = inspect.getdoc(f)
    assert doc
    if f.__name__ != "plot_cumulative_variance":  # refers to plot_spectrum
        for name in inspect.signature(f).parameters:
            assert re.search(rf"\b{name}\b", doc), f"{f.__name__} does not document `{name}`"


@pytest.mark.parametrize("name", [f.__name__ for f in FUNCTIONS] + ["Spectrum", "SpectrumAccumulator"])
def test_public_names_are_tested(name):
    assert re.search(rf"\b{name}\b", TESTS), f"no test names {name}"


def test_measures_have_an_example():
    missing = [
        f.__name__
        for f in FUNCTIONS
        if not f.__name__.startswith("plot_")
        and f.__name__ != "open_source"
        and not doctest.DocTestFinder().find(f)[0].examples
    ]
    assert missing == []


def imports_of(path):
    """The modules of this package that a file imports at its top, as (room, module); `module` is "" for the room itself."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "repgeom" and len(parts) > 1:
                found.add((parts[1], parts[2] if len(parts) > 2 else ""))
    return found


def modules_of(room):
    return sorted(p for p in (ROOT / "repgeom" / room).glob("*.py") if p.stem != "__init__")


def test_the_rooms_are_the_folders():
    package = ROOT / "repgeom"
    folders = {p.parent.name for p in package.glob("*/__init__.py")}
    assert folders == set(ROOMS)
    assert {p.stem for p in package.glob("*.py")} == BESIDE


def test_test_files_have_names_of_their_own():
    """pytest imports files of folders that are no packages by their bare name."""
    names = [p.name for p in (ROOT / "tests").rglob("*.py") if not (p.parent / "__init__.py").exists()]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_before_it(room):
    before = set(ROOMS[: ROOMS.index(room)])
    if room == "corruptions":
        before = {"data"}
    # `testing` makes arrays and needs the gate alone, so that every room may use it; the command line shows `demo`.
    beside = {"demo"} if room == "cli" else set()
    for path in modules_of(room):
        used = {other for other, _ in imports_of(path)}
        assert used <= before | beside | {room}, f"{path} imports {used - before - {room}}"


@pytest.mark.parametrize("room", ROOMS)
def test_inside_a_room_there_is_no_circle(room):
    uses = {
        p.stem: {module for other, module in imports_of(p) if other == room} & {q.stem for q in modules_of(room)}
        for p in modules_of(room)
    }
    while uses:
        free = [name for name, used in uses.items() if not used & uses.keys()]
        assert free, f"{room}: {' <-> '.join(sorted(uses))} import each other"
        for name in free:
            del uses[name]


def test_presenting_is_loaded_only_when_a_report_is_shown():
    """Nobody imports the rooms at the end, but for methods of results (`Report`, `ReportComparison`, `LayerProfile`, `LayerMap`, `Monitor`), `cli`, and the top that shows plots."""
    for room in ROOMS[: ROOMS.index("presenting")]:
        for path in modules_of(room):
            shown = re.findall(r"^ +from repgeom\.(?:presenting|cli)", path.read_text(), re.MULTILINE)
            assert not shown or path.name in {
                "report.py",
                "comparing.py",
                "profile.py",
                "layer_map.py",
                "monitor.py",
                "notebook.py",
            }, path


def test_only_public_names_and_named_subpackages_are_seen():
    seen = {name for name in dir(rg) if not name.startswith("__")}
    assert seen == set(rg.__all__)
    modules = {name for name in seen if inspect.ismodule(getattr(rg, name))}
    assert modules == {
        "corruptions",
        "demo",
        "files",
        "models",
        "monitors",
        "pages",
        "terminal",
        "probes",
        "repair",
        "robustness",
        "testing",
        "types",
    }


@pytest.mark.parametrize("path", modules_of("measures"), ids=lambda p: p.stem)
def test_what_a_module_of_measures_lists_is_public(path):
    module = importlib.import_module(f"repgeom.measures.{path.stem}")
    for name in getattr(module, "__all__", ()):
        assert getattr(rg, name) is getattr(module, name)
        assert name in rg.__all__, f"name {path.stem} in repgeom/public.py, beside the other modules of measures"


def test_packages_of_the_wheel_are_the_folders():
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {"repgeom": "repgeom", "repgeom_examples": "examples"}
    found = {
        ".".join([package, *p.parent.relative_to(ROOT / folder).parts])
        for package, folder in folders.items()
        for p in (ROOT / folder).rglob("__init__.py")
    }
    assert set(setup["packages"]) == found
    assert setup["package-dir"] == {"repgeom_examples": "examples"}


def test_version_is_in_the_changelog():
    assert f"## {rg.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_nothing_is_named_after_a_place_on_one_machine():
    for path in ROOT.rglob("*"):
        if path.suffix in {".py", ".md", ".toml", ".txt", ".j2"} and ".venv" not in path.parts:
            assert "/work" + "/" not in path.read_text(), path
