"""One process of `torch.distributed` with NCCL: sums of a GPU are shared, and are those of no group at all."""

import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import repgeom as rg
from repgeom.monitors import Monitor

pytestmark = pytest.mark.gpu


def features(device):
    return torch.randn(600, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(device)


def alone(rank, folder, device):
    backend = "gloo" if device == "cpu" else "nccl"
    os.environ.setdefault("NCCL_SOCKET_IFNAME", "lo")
    dist.init_process_group(backend, init_method=f"file://{folder}/meet", rank=rank, world_size=1)
    try:
        x = features(device)
        for method in ("float64", "qr"):
            acc = rg.SpectrumAccumulator(method=method)
            acc.update(x[:100]).update(x[100:]).all_reduce()
            torch.testing.assert_close(
                acc.spectrum().singular_values, rg.spectrum(x).singular_values, rtol=1e-10, atol=0
            )
        model = torch.nn.Linear(8, 8).double().to(device)
        monitor = Monitor(model, every=1)
        with monitor.step():
            rows = model(x)
        read = monitor.history
        value = read[read["measure"] == "effective_rank"]["value"].item()
        assert value == pytest.approx(rg.estimate(rows).value, rel=1e-3)
        (folder / "done").write_text("")
    finally:
        dist.destroy_process_group()


def test_a_group_of_one_process(tmp_path, device):
    mp.spawn(alone, (tmp_path, device), nprocs=1)
    assert (tmp_path / "done").exists()
