"""Two processes on the loopback hold together what one would."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import repgeom as rg

ROWS, WIDTH = 301, 12


def features():
    rng = np.random.default_rng(0)
    return rng.standard_normal((ROWS, WIDTH)) * np.arange(1, WIDTH + 1.0) ** -1 + 100


def accumulate(rank, folder, split, method):
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    part = np.array_split(features(), [split])[rank]
    acc = rg.SpectrumAccumulator(method=method)
    for batch in np.array_split(part, max(1, len(part) // 50)):
        if len(batch):
            acc.update(batch)
    acc.all_reduce()
    s = acc.spectrum()
    torch.save((acc.n_samples, s.singular_values, s.mean), folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.parametrize(("split", "method"), [(100, "float64"), (0, "float64"), (299, "qr"), (5, "qr")])
def test_all_reduce_gives_every_process_the_whole(tmp_path, split, method):
    mp.spawn(accumulate, (tmp_path, split, method), nprocs=2)
    whole = rg.spectrum(features())
    for rank in (0, 1):
        n, sigma, mean = torch.load(tmp_path / f"{rank}.pt", weights_only=False)
        assert n == ROWS
        np.testing.assert_allclose(sigma, whole.singular_values, rtol=1e-10)
        np.testing.assert_allclose(mean, whole.mean, rtol=1e-12)


def nothing(rank, folder):
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    acc = rg.SpectrumAccumulator()
    with pytest.raises(ValueError, match="no process has rows"):
        acc.all_reduce()
    acc.update(np.ones((3, 2 + rank)))
    with pytest.raises(ValueError, match=r"other widths: \(2,\), \(3,\)"):
        acc.all_reduce()
    dist.destroy_process_group()


def test_what_cannot_be_added_is_refused_on_every_process(tmp_path):
    mp.spawn(nothing, (tmp_path,), nprocs=2)
