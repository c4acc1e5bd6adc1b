"""Each example runs, shows what it says, and needs nothing of the library that is not public."""

import ast
import importlib
import inspect
import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

import repgeom as rg

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
FILES = sorted(EXAMPLES.rglob("*.py"))


def private_uses(source):
    """What a file takes from repgeom that is neither a public name nor a named sub-package, as dotted text."""
    tree = ast.parse(source)
    names, uses = {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "repgeom":
                    uses.append(alias.name)
                    names[alias.asname or "repgeom"] = alias.name if alias.asname else "repgeom"
        elif isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").partition(".")[0] == "repgeom":
            for alias in node.names:
                uses.append(f"{node.module}.{alias.name}")
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            dotted = ast.unparse(node)
            first, _, rest = dotted.partition(".")
            if first in names and re.fullmatch(r"[\w.]+", dotted):
                uses.append(f"{names[first]}.{rest}")
    return sorted({use for use in uses if not is_public(use)})


def is_public(dotted):
    """Whether each step from `repgeom` on is in the `__all__` of a module, until something that is no module is reached."""
    place = rg
    for name in dotted.split(".")[1:]:
        if not inspect.ismodule(place):
            return True  # an attribute of a public function or class
        if name not in place.__all__:
            return False
        place = getattr(place, name)
    return True


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(EXAMPLES)))
def test_an_example_needs_public_names_only(file):
    assert private_uses(file.read_text()) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import repgeom as rg\nrg.effective_rank", []),
        ("from repgeom.corruptions import Draws as D\nD(0).below", []),
        ("from repgeom import demo\ndemo.digit_halves()", []),
        ("import repgeom as rg\nrg.types.FourierHeatmap.drift", []),
        ("import repgeom.data.files", ["repgeom.data.files"]),
        ("from repgeom.robustness.resume import fingerprint", ["repgeom.robustness.resume.fingerprint"]),
        ("def f():\n    from repgeom.data.arrays import unit_rows", ["repgeom.data.arrays.unit_rows"]),
        ("import repgeom as rg\nrg.presenting.text", ["repgeom.presenting", "repgeom.presenting.text"]),
        ("import repgeom\nrepgeom.demo.WIDTH", ["repgeom.demo.WIDTH"]),
        ("from repgeom.corruptions import seeds", ["repgeom.corruptions.seeds"]),
    ],
)
def test_private_names_are_found_wherever_they_are_imported(source, found):
    assert private_uses(source) == found


def shown(name, capsys, **settings):
    importlib.import_module(f"repgeom_examples.{name}").main(**settings)
    return capsys.readouterr().out


def test_rank_as_a_loss_prevents_collapse(capsys):
    text = shown("rank_as_a_loss", capsys, steps=60)
    alone, with_rank = [float(r) for r in re.findall(r"rank +([\d.]+) of", text)]
    assert alone < 3
    assert with_rank > 5 * alone


def test_layers_of_a_network(capsys):
    text = shown("layers_of_a_network", capsys, steps=20)
    widths = [int(w) for w in re.findall(r"width +(\d+)", text)]
    assert widths == [64, 256, 256, 256, 256, 64]
    ranks = [[float(r) for r in pair] for pair in re.findall(r"\(σ², σ\) +([\d.]+) +([\d.]+)", text)]
    assert all(
        1 <= of_squares <= of_sigma <= width for (of_squares, of_sigma), width in zip(ranks, widths, strict=True)
    )


def test_the_collapsed_encoder_drifts_further_under_corruption(capsys, tmp_path):
    example = importlib.import_module("repgeom_examples.demo_robustness")
    example.main(tmp_path, severities=[3], n_images=200, n_maps=4, steps=150)
    drift = [float(v) for v in re.search(r"L2 drift +([\d.]+) +([\d.]+)", capsys.readouterr().out).groups()]
    assert drift[1] > 2 * drift[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fourier.png", "robustness.csv", "robustness.png"]


@pytest.mark.parametrize("name", ["examples", "tests", "benchmarks", "studies"])
def test_only_the_examples_own_name_is_installed(name):
    top_level = distribution("repgeom").read_text("top_level.txt")
    assert "repgeom_examples" in (top_level or "repgeom_examples").split()
    assert name not in (top_level or "").split()


def test_the_sample_size_picture_is_drawn(monkeypatch, tmp_path):
    example = importlib.import_module("repgeom_examples.sample_sizes")
    features = rg.demo.digit_features(steps=60)[0]["contrastive"]
    figure = example.curves_drawn(features, draws=2, sizes=[100, 899])
    assert [ax.get_title() for ax in figure.axes] == ["effective_rank", "effective_rank_sigma"]
    for ax in figure.axes:
        of_rows = rg.sample_size_curve(features, ax.get_title(), draws=2, sizes=[100, 899]).in_these_rows
        heights = [y for line in ax.lines for y in line.get_ydata()]
        assert any(y == pytest.approx(of_rows.iloc[-1]) for y in heights)  # of all rows there is one draw
    monkeypatch.setattr("sys.argv", ["sample_sizes", str(tmp_path / "a.png")])
    monkeypatch.setattr(rg.demo, "digit_features", lambda: ({"contrastive": features}, None))
    monkeypatch.setattr(example, "curves_drawn", lambda x: figure if x is features else None)
    example.main()
    assert (tmp_path / "a.png").stat().st_size > 10_000
