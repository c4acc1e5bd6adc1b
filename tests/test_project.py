"""The project itself: what is public is documented, imports point one way, the wheel's list is the folders'."""

import ast
import doctest
import inspect
import re
import tomllib
from pathlib import Path

import pytest

import repgeom as rg

ROOT = Path(__file__).parent.parent
PUBLIC = [getattr(rg, name) for name in rg.__all__]
FUNCTIONS = [f for f in PUBLIC if inspect.isfunction(f)]
TESTS = "\n".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))

# A module may import those before it.
ORDER = [
    "features", "spectra", "accumulate", "decompose", "rank", "synthetic", "baseline", "cloud", "pairs", "classes", "formats",
    "files", "catalogue", "verdict", "plots", "report", "auditing", "demo", "cli",
]  # fmt: skip


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


def test_imports_point_one_way():
    modules = {p.stem for p in (ROOT / "repgeom").glob("*.py")} - {"__init__", "__main__"}
    assert modules == set(ORDER)
    for name in ORDER:
        tree = ast.parse((ROOT / "repgeom" / f"{name}.py").read_text())
        # Imports inside functions count too, except those for type checkers only.
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("repgeom."):
                used = node.module.removeprefix("repgeom.")
                lazy = node.col_offset > 0
                assert lazy or ORDER.index(used) < ORDER.index(name), f"{name} imports {used}"


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
