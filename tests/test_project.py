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
PUBLIC = [getattr(place, name) for place in (rg, rg.corruptions) for name in place.__all__]
FUNCTIONS = [f for f in PUBLIC if inspect.isfunction(f)]
TESTS = "\n".join(path.read_text() for path in (ROOT / "tests").glob("test_*.py"))

# A module may import those before it.
ORDER = [
    "features", "labels", "spectra", "team", "accumulate", "dask_arrays", "decompose", "lanczos", "rank", "synthetic", "baseline", "cloud", "pairs", "classes",
    "formats", "files", "probes", "probes.logistic", "probes.linear", "probes.neighbours",
    "corruptions.seeds", "corruptions.strengths", "corruptions.images", "corruptions.filters", "corruptions.noise",
    "corruptions.blur", "corruptions.weather", "corruptions.spatter", "corruptions.digital", "corruptions.family",
    "corruptions.levels", "corruptions", "robustness", "robustness.readings", "robustness.neighbourhoods", "robustness.spread", "robustness.drift",
    "robustness.encoding", "robustness.cells", "robustness.resume", "robustness.tables", "robustness.compare", "robustness.scores", "robustness.fourier",
    "measures", "population", "scores", "estimates", "comparison", "sample_sizes", "collecting", "decomposition", "catalogue", "verdict", "text", "plots", "report", "auditing", "demo", "cli",
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


def module_files():
    """{dotted name: path} of every module; a subpackage goes by its folder's name."""
    package = ROOT / "repgeom"
    names = {".".join(p.relative_to(package).with_suffix("").parts): p for p in package.rglob("*.py")}
    named = {name.removesuffix(".__init__"): path for name, path in names.items()}
    return {name: path for name, path in named.items() if name not in ("__init__", "__main__")}


def imported(node, modules):
    """The modules of this package that an import statement names."""
    if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("repgeom"):
        return []
    base = node.module.removeprefix("repgeom").removeprefix(".")
    below = [f"{base}.{alias.name}".removeprefix(".") for alias in node.names]
    return [name for name in below if name in modules] or [base]


def test_imports_point_one_way():
    modules = module_files()
    assert set(modules) == set(ORDER)
    for name in ORDER:
        # Imports inside functions are left out: they wait for a heavy package, not for a module of this one.
        for node in ast.walk(ast.parse(modules[name].read_text())):
            for used in imported(node, modules):
                assert node.col_offset > 0 or ORDER.index(used) < ORDER.index(name), f"{name} imports {used}"


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
