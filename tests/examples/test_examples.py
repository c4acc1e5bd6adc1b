"""Each example runs, and shows what it says."""

import importlib
import re

import pytest


def shown(name, capsys):
    importlib.import_module(f"repgeom_examples.{name}").main()
    return capsys.readouterr().out


def test_rank_as_a_loss_prevents_collapse(capsys):
    alone, with_rank = [float(r) for r in re.findall(r"rank +([\d.]+) of", shown("rank_as_a_loss", capsys))]
    assert alone < 3
    assert with_rank > 5 * alone


def test_layers_of_a_network(capsys):
    widths = [int(w) for w in re.findall(r"width +(\d+)", shown("layers_of_a_network", capsys))]
    assert widths == [64, 256, 256, 256, 256, 64]


def test_the_collapsed_encoder_drifts_further_under_corruption(capsys, tmp_path):
    importlib.import_module("repgeom_examples.demo_robustness").main(tmp_path, severities=[3], n_maps=20)
    drift = [float(v) for v in re.search(r"L2 drift +([\d.]+) +([\d.]+)", capsys.readouterr().out).groups()]
    assert drift[1] > 2 * drift[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fourier.png", "robustness.csv", "robustness.png"]


@pytest.mark.parametrize("name", ["examples", "tests", "benchmarks", "studies"])
def test_only_the_examples_own_name_is_installed(name):
    from importlib.metadata import distribution

    assert "repgeom_examples" in (distribution("repgeom").read_text("top_level.txt") or "repgeom_examples").split()
    assert name not in (distribution("repgeom").read_text("top_level.txt") or "").split()


def test_the_sample_size_picture_is_drawn(monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["sample_sizes", str(tmp_path / "a.png")])
    importlib.import_module("repgeom_examples.sample_sizes").main()
    assert (tmp_path / "a.png").stat().st_size > 10_000
