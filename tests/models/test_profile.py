"""A profile of layers: its numbers are those of an audit, and its forms show them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from tiny_models import Block, network, rows
from torch import nn

import repgeom as rg
from repgeom import models

X = rows(600)
LABELS = (X[:, 0] > 0).long()


@pytest.fixture(scope="module")
def profile():
    return models.layer_profile(network(), X.split(64), labels=LABELS, name="a net")


def test_each_layer_is_audited_as_its_features_would_be(profile):
    for layer in profile:
        x = models.extract_features(network(), X.split(50), layer=layer)
        expected = rg.audit(x, labels=LABELS)
        for name in ("effective_rank", "participation_ratio", "mean_cosine", "knn_accuracy"):
            mine, theirs = profile[layer][name], expected[name]
            assert mine.value == pytest.approx(theirs.value, rel=1e-5), (layer, name)
            assert mine.low == pytest.approx(theirs.low, rel=1e-4), (layer, name)
        assert profile[layer].level == expected.level


def test_an_orthogonal_stack_keeps_its_rank_and_a_bottleneck_does_not():
    torch.manual_seed(0)
    stack = nn.Sequential(*(nn.Linear(8, 8, bias=False) for _ in range(4)))
    for layer in stack:
        nn.init.orthogonal_(layer.weight)
    frame = models.layer_profile(stack, [X], layers="*").to_frame()
    np.testing.assert_allclose(frame.effective_rank, frame.effective_rank.iloc[0], rtol=1e-5)
    narrow = nn.Sequential(nn.Linear(8, 3, bias=False), nn.Linear(3, 8, bias=False))
    assert models.layer_profile(narrow, [X])["1"]["effective_rank"].value <= 3


def test_frame_json_text_and_page_show_every_layer(profile, tmp_path):
    frame = profile.to_frame()
    assert list(frame.index) == list(profile) == ["1.0", "1.1", "1.2", "2", "output"]
    assert (frame.low < frame.effective_rank).all()
    np.testing.assert_allclose(frame.share, frame.effective_rank / frame.width)
    found = json.loads(profile.to_json(tmp_path / "p.json"))
    assert [one["layer"] for one in found["layers"]] == list(profile)
    assert found["layers"][0]["report"]["convention"]["layer"] == "1.0"
    page = profile.to_html(tmp_path / "p.html")
    for layer in profile:
        assert f">{layer}<" in page
        assert layer in str(profile)
    assert (tmp_path / "p.html").read_text() == page
    with pytest.raises(KeyError, match=r"no layer 'x' in this profile; there are 1\.0"):
        profile["x"]


def test_the_plot_shows_shares_intervals_and_isotropic_rows(profile):
    ax, frame = profile.plot(), profile.to_frame()
    line, *_ = ax.get_lines()
    np.testing.assert_allclose(line.get_ydata(), frame.share)
    assert [t.get_text() for t in ax.get_xticklabels()] == list(frame.index)
    dashed = next(line for line in ax.get_lines() if line.get_linestyle() == "--")
    np.testing.assert_allclose(dashed.get_ydata(), frame.isotropic)
    many = models.layer_profile(network(40), [X])
    assert len(many.plot().get_xticklabels()) <= 16


def test_names_from_outside_are_no_mathematics_and_no_markup():
    model = nn.Sequential()
    for i in range(3):
        model.add_module(f"a$\\frac{{$<b>{i}", nn.Linear(8, 8))
    profile = models.layer_profile(model, [X], name="$\\bad{$ <script>")
    profile.plot().figure.canvas.draw()
    assert profile.to_html().count("<script") == 1


def test_a_layer_that_is_the_same_for_all_is_said_and_costs_no_other():
    class Constant(nn.Module):
        def forward(self, x):
            return torch.ones_like(x)

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.dead, self.block = Constant(), Block(8)

        def forward(self, x):
            self.dead(x)
            return self.block(x)

    profile = models.layer_profile(Both(), [X], layers=["dead", "block"])
    assert list(profile) == ["block"]
    assert "all its rows are equal" in profile.unmeasured["dead"]
    assert "Not measured: dead" in str(profile)
    assert "dead" in profile.to_html()
    with pytest.raises(ValueError, match="every layer gives the same rows"):
        models.layer_profile(Constant(), [X])


def test_labels_and_a_reference_belong_to_the_samples():
    in_stream = models.layer_profile(
        network(), list(zip(X.split(50), LABELS.split(50), strict=True)), labels="in_stream"
    )
    given = models.layer_profile(network(), X.split(50), labels=LABELS)
    assert in_stream["2"]["knn_accuracy"].value == given["2"]["knn_accuracy"].value
    teacher = models.extract_features(network(), X.split(50), layer="2")
    against = models.layer_profile(network(), X.split(50), reference=teacher)
    assert against["2"]["linear_cka"].value == pytest.approx(1, abs=1e-5)
    assert against["1.0"]["linear_cka"].value < 0.999
    for name, values in (("labels", LABELS), ("reference", teacher)):
        with pytest.raises(ValueError, match=f"`{name}` has 600 entries and the loader gave 550 samples"):
            models.layer_profile(network(), X[:550].split(50), **{name: values})
        with pytest.raises(ValueError, match=f"`{name}` has 550 .* and the loader gives more samples"):
            models.layer_profile(network(), X.split(50), **{name: values[:550]})
    with pytest.raises(ValueError, match='"in_stream", and a batch has none'):
        models.layer_profile(network(), [X], labels="in_stream")


def test_max_samples_stops_the_loader():
    def endless():
        while True:
            yield X[:64]

    profile = models.layer_profile(network(), endless(), max_samples=130, labels=LABELS)
    assert profile["2"].n_samples == 192  # whole batches


def test_features_go_to_a_file_batch_by_batch(tmp_path):
    path = models.extract_features(network(), X.split(50), layer="2", out=tmp_path / "x.npy")
    held = models.extract_features(network(), X.split(50), layer="2")
    np.testing.assert_array_equal(np.load(path, mmap_mode="r"), held)
    assert rg.audit(path)["effective_rank"].in_these_rows == pytest.approx(rg.effective_rank(held.numpy()), rel=1e-6)
    with pytest.raises(ValueError, match=r"`out` must be a \.npy file"):
        models.extract_features(network(), [X], out=tmp_path / "x.pt")
    with pytest.raises(ValueError, match=r"fits 3 layers: 1\.0, 1\.1, 1\.2"):
        models.extract_features(network(), [X], layer="1.*", out=tmp_path / "y.npy")

    def breaks():
        yield X[:50]
        raise RuntimeError("the disk went away")

    with pytest.raises(RuntimeError, match="the disk went away"):
        models.extract_features(network(), breaks(), out=tmp_path / "z.npy")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.npy"]


def test_one_layers_audit_is_that_of_its_features():
    for layer in ("output", "1.1"):
        report = models.audit(network(), X.split(64), layer=layer, labels=LABELS, purpose="classify")
        expected = rg.audit(models.extract_features(network(), [X], layer=layer), labels=LABELS, purpose="classify")
        assert report.level == expected.level
        assert report["effective_rank"].value == pytest.approx(expected["effective_rank"].value, rel=1e-5)
        assert report["knn_accuracy"].value == expected["knn_accuracy"].value
    assert models.audit(network(), X.split(64))["effective_rank"].value is not None
    with pytest.raises(ValueError, match=r"`layer` fits 3 layers: 1\.0, 1\.1, 1\.2"):
        models.audit(network(), [X], layer="1.*")
