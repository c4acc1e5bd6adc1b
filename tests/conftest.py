"""Shared oracles: a float64 SVD of the same values, read by formulas written out here and nowhere else."""

import functools
import os
import signal

import matplotlib as mpl
import numpy as np
import pytest
import torch
from sklearn.datasets import load_sample_images

import repgeom as rg
from repgeom.reading.tally import Piece

mpl.use("Agg")


def pytest_configure():
    """Tests are many small products: a second thread only waits, for minutes where another program is busy."""
    torch.set_num_threads(1)
    # NumPy reads this as it is loaded: in the processes that pytest starts, and in those that tests start.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.pop("COLUMNS", None)  # a runner of several processes says how wide its own lines are
    # A shell starts what runs in the background with Ctrl-C ignored, and all that it starts inherits that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def shannon(p):
    p = p[p > 0]
    return float(np.exp(-(p * np.log(p)).sum()))


def oracle(x, center=True):
    """Effective rank (σ², σ), participation ratio and stable rank by a float64 SVD."""
    x = np.asarray(x.detach().double() if isinstance(x, torch.Tensor) else x, dtype=np.float64)
    rows = x
    if center:
        rows = x - x.mean(0)
        rows = rows - rows.mean(0)
    sigma = np.linalg.svd(rows, compute_uv=False)
    # A float64 SVD's own rounding is not spectrum; what lies above it is. Rounding scales with the values as given.
    noise = np.finfo(float).eps * np.sqrt(max(x.shape)) * max(np.linalg.norm(rows, 2), np.abs(x).max() * 2)
    sigma = np.where(sigma > noise, sigma, 0)
    squares = sigma**2
    total = squares.sum()
    return {
        "effective_rank": shannon(squares / total),
        "effective_rank_sigma": shannon(sigma / sigma.sum()),
        "participation_ratio": float(total**2 / (squares**2).sum()),
        "stable_rank": float(total / squares[0]),
    }


def pieces(rows, step, start=0, **beside):
    """Rows (tensor) as pieces of `step` rows, of which the first is row `start` of all."""
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        named = {name: values[part] for name, values in beside.items()}
        yield Piece(rows[part], start + np.arange(first, min(first + step, len(rows))), **named)


def added_up(tally, rows, step, start=0, **beside):
    """The tally with these rows added in pieces."""
    for piece in pieces(rows, step, start, **beside):
        tally.update(piece)
    return tally


@pytest.fixture
def device():
    """Where tests marked `gpu` put their tensors: the GPU, or what REPGEOM_TEST_DEVICE says to try them without one."""
    name = os.environ.get("REPGEOM_TEST_DEVICE") or "cuda"
    if name == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU; REPGEOM_TEST_DEVICE=cpu tries the test without")
    return name


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def small_chunks(monkeypatch):
    """Pieces of 400 rows of the features in tests/reading, kept after each where there is a checkpoint."""
    monkeypatch.setattr("repgeom.data.arrays.CHUNK_VALUES", 400 * 16)
    monkeypatch.setattr("repgeom.reading.checkpoint.SAVE_SECONDS", 0)


@functools.cache
def photographs(size):
    """Square parts of scikit-learn's two photographs, (2, 3, size, size) uint8."""
    found = []
    for photo in load_sample_images().images:
        x = torch.tensor(photo).permute(2, 0, 1)[None].float()
        scale = max(0.6, size / 400) if size >= 200 else 0.18 * size / 64 + 0.05
        x = torch.nn.functional.interpolate(x, scale_factor=scale, mode="bicubic", antialias=True)
        top, left = ((n - size) // 2 for n in x.shape[2:])
        found.append(x[:, :, top : top + size, left : left + size].clamp(0, 255).round().to(torch.uint8))
    return torch.cat(found)


@pytest.fixture(scope="module")
def probe():
    """A linear probe of the images in tests/robustness."""
    from encoders import IMAGES, LABELS, pixels

    return rg.probes.fit_linear_probe(pixels(IMAGES), LABELS, C=0.1)
