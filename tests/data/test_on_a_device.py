"""Tensors that lie on a GPU: every public function gives what it gives on the CPU, and gives it there."""

import dataclasses
import re

import numpy as np
import pandas as pd
import public_calls
import pytest
import torch
from public_calls import CALLS, Rows, plain

import repgeom as rg

pytestmark = pytest.mark.gpu
# Their rows come from a file, or their training draws its own numbers on each device.
ELSEWHERE = {"open_source", "demo.digit_features", "demo.digit_halves", "demo.encode", "demo.info_nce", "demo.pull_together",
             "demo.train_encoder"}  # fmt: skip
# Quantised images: tests/corruptions compares them grey level by grey level.
PICTURES = {"corruptions.apply", "corruptions.corrupt", "corruptions.draw", "robustness.band_noise"}
TENSORS = sorted(CALLS.keys() - ELSEWHERE - PICTURES)
QUICK = ("effective_rank", "spectrum", "estimate", "linear_cka", "mutual_knn", "health", "audit", "probes.LinearProbe", "uniformity")  # fmt: skip
DIFFERENTIABLE = {
    "effective_rank": lambda x, y: rg.effective_rank(x),
    "effective_rank of σ": lambda x, y: rg.effective_rank(x, of="singular_values"),
    "participation_ratio": lambda x, y: rg.participation_ratio(x),
    "stable_rank": lambda x, y: rg.stable_rank(x),
    "effective_rank, fewer rows": lambda x, y: rg.effective_rank(x[:6]),
    "spectrum": lambda x, y: rg.spectrum(x, normalize="l2").singular_values.sum(),
    "spectrum of a stack": lambda x, y: rg.spectrum(torch.stack([x, y])).singular_values.sum(),
}


def rows(device, dtype=np.float64, n=48):
    x = np.random.default_rng(0).standard_normal((n, 12)).astype(dtype) + 1
    y = (x + 0.5 * np.random.default_rng(1).standard_normal(x.shape)).astype(dtype)
    labels = torch.arange(n, device=device) % 3
    return Rows(torch.tensor(x, device=device), torch.tensor(y, device=device), labels)


@pytest.fixture
def images_there(device, monkeypatch):
    here = public_calls.images
    monkeypatch.setattr(public_calls, "images", lambda n=8, side=16: here(n, side).to(device))


def flat(answer):
    """All numbers of an answer in order as one array, and all else as text."""
    numbers, words = [], []

    def walk(part):
        if isinstance(part, torch.Tensor):
            walk(part.detach().cpu().double().numpy())
        elif isinstance(part, np.ndarray) and part.dtype.kind in "fiub":
            words.append(str(part.shape))
            numbers.extend(part.astype(float).ravel().tolist())
        elif isinstance(part, pd.DataFrame):
            for column in part:
                words.append(str(column))
                walk(part[column].tolist())
        elif isinstance(part, dict):
            for key, value in part.items():
                words.append(str(key))
                walk(value)
        elif isinstance(part, (list, tuple, np.ndarray)):
            for value in part:
                walk(value)
        elif dataclasses.is_dataclass(part) and not isinstance(part, type):
            walk({field.name: getattr(part, field.name) for field in dataclasses.fields(part)})
        elif isinstance(part, (int, float, np.number)):
            numbers.append(float(part))
        elif isinstance(part, str):
            # Numbers in a text are those of the answer, rounded: one in a billion falls on the other side.
            words.append(re.sub(r"[−-]?\d[\d.,e+−-]*", "#", part))
        else:
            words.append(type(part).__name__)

    walk(answer)
    return np.array(numbers), words


def assert_near(there, here, tolerance):
    mine, theirs = flat(there), flat(here)
    assert mine[1] == theirs[1]
    np.testing.assert_allclose(mine[0], theirs[0], rtol=tolerance, atol=tolerance)


@pytest.mark.filterwarnings("ignore:(SVCCA|PWCCA) of 48 rows:UserWarning")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", TENSORS)
def test_a_function_gives_what_it_gives_on_the_cpu(name, dtype, device, images_there, monkeypatch):
    there = CALLS[name](rows(device, dtype))
    monkeypatch.undo()
    here = CALLS[name](rows("cpu", dtype))
    tolerance = 1e-6
    if name == "centered_svd":
        # A direction and its opposite are both right.
        there, here = ([(usv.U * usv.S[..., None, :]) @ usv.Vh, usv.S, usv.mean] for usv in (there, here))
    if name == "probes.LinearProbe":
        there, here = (with_projector(answer) for answer in (there, here))
    if name == "probes.fit_linear_probe":
        assert_paths_agree(there, here)
        there, here = ([probe.weight, probe.bias, probe.C] for probe in (there, here))
        # The solver stops where the gradient is small, which rounding in float32 moves by a few units in the last place.
        tolerance = 1e-5 if dtype == np.float32 else 1e-6
    if name == "robustness.compare_robustness":
        # A value of these 6,144 may lie so close to a grey level's edge that it falls to either side: 1e-5 of a measure.
        tolerance = 1e-4
    assert_near(there, here, tolerance)


def with_projector(answer):
    """What a probe answers, with the projection on its row space for the basis: a direction and its opposite are both right."""
    (*found, basis), accuracy = answer
    return *found, basis.mT @ basis, accuracy


def assert_paths_agree(there, here):
    """Each strength reads the same; how many iterations it took is no answer, and weak ones stop anywhere near the optimum."""
    assert len(there.path) == len(here.path)
    for mine, theirs in zip(there.path, here.path, strict=True):
        assert (mine.C, mine.accuracy) == pytest.approx((theirs.C, theirs.accuracy), rel=1e-6)
        assert (mine.loss, mine.objective) == pytest.approx((theirs.loss, theirs.objective), rel=0.01, abs=1e-6)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("made", ["rows of NumPy", "rows on the CPU", "rows there"])
def test_a_default_device_changes_nothing(name, made, device):
    given = rows(device if made == "rows there" else "cpu")
    if made == "rows of NumPy":
        given = Rows(given.x.numpy(), given.y.numpy(), given.labels.numpy())
    outside = plain(CALLS[name](given))
    with torch.device(device):
        assert plain(CALLS[name](given)) == outside
    torch.set_default_device(device)
    try:
        assert plain(CALLS[name](given)) == outside
    finally:
        torch.set_default_device(None)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_changes_nothing(name, dtype, device):
    given = rows(device, np.float32)
    outside = plain(CALLS[name](given))
    with torch.autocast(device, dtype):
        assert plain(CALLS[name](given)) == outside


@pytest.mark.parametrize("name", QUICK)
def test_inexact_products_change_nothing(name, device):
    given = rows(device, np.float32)
    outside = plain(CALLS[name](given))
    torch.set_float32_matmul_precision("medium")
    try:
        assert plain(CALLS[name](given)) == outside
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients_are_those_of_the_cpu(name, device):
    found = []
    for place in (device, "cpu"):
        given = rows(place)
        x = given.x.requires_grad_()
        DIFFERENTIABLE[name](x, given.y).backward()
        assert x.grad.device.type == torch.device(place).type
        found.append(x.grad.cpu())
    torch.testing.assert_close(found[0], found[1], rtol=1e-6, atol=1e-8)


def test_results_lie_where_the_rows_do(device):
    x = rows(device).x
    s = rg.spectrum(x)
    for found in (rg.effective_rank(x), s.singular_values, s.mean, rg.centered_svd(x).U, rg.influence(x)):
        assert found.device.type == torch.device(device).type


@pytest.mark.parametrize("what", [float("nan"), float("inf")])
def test_values_that_are_not_finite_are_named_as_on_the_cpu(what, device):
    said = []
    for place in (device, "cpu"):
        x = rows(place).x
        x[7, 3] = what
        for call in (rg.effective_rank, rg.audit, rg.estimate, rg.uniformity):
            with pytest.raises(ValueError, match="row 7, column 3") as error:
                call(x)
            said.append(str(error.value))
    assert said[:4] == said[4:]


def test_a_stream_of_its_own_is_waited_for(device):
    x = rows(device, n=4_000).x
    expected = rg.effective_rank(x)
    if device == "cpu":
        return
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        big = torch.ones(3_000, 3_000, device=device)
        for _ in range(20):
            big = big @ big * 1e-3
        # Rows that are made in this stream, after much that keeps it busy.
        found = rg.effective_rank(x + 0 * big[0, 0].nan_to_num(0, 0, 0))
        report = rg.audit(x + 0 * big[0, 0].nan_to_num(0, 0, 0))
    assert float(found) == pytest.approx(float(expected), rel=1e-9)
    assert report["effective_rank"].in_these_rows == pytest.approx(float(expected), rel=1e-9)
