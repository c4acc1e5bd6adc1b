"""Two processes on the loopback that train one model have one history, of the rows of both."""

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from training import WIDTH, Encoder, batches, encoder, hooks_on
from two_processes import Done

import repgeom as rg
from repgeom.monitors import EmbeddingCollapse, Monitor

SIZES = (90, 150)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    works = (trained, rows_are_those_of_both, one_has_no_rows, collapses, probed)
    return Done(tmp_path_factory.mktemp("two"), *works)


def trained(rank, folder):
    model = DistributedDataParallel(encoder())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    logged = []
    monitor = Monitor(
        model, layers=["head", "output"], every=2, interval=True, log=lambda *values: logged.append(values)
    )
    for batch in batches(5, size=sum(SIZES)):
        with monitor.step():
            optimizer.zero_grad()
            model(batch.split(SIZES)[rank]).square().mean().backward()
            optimizer.step()
    assert hooks_on(model) <= 1  # DistributedDataParallel may have its own
    assert len(logged) == (3 if rank == 0 else 0)
    monitor.history.to_csv(folder / f"{rank}.csv")


def test_every_process_has_the_same_readings(done):
    first, second = ((done(trained) / f"{rank}.csv").read_text() for rank in (0, 1))
    assert first == second
    assert first.count(",240\n") == 3 * 2 * 3


def rows_are_those_of_both(rank, folder):
    x = torch.cat(batches(2, size=120))
    model = nn.Identity()
    monitor = Monitor(model, every=1, interval=True, rows=10_000)
    for views in (1, 2):
        with monitor.step():
            for _ in range(views):
                model(x.split(SIZES)[rank])
    alone = Monitor(model, every=1, together=False)
    if rank == 0:  # the other one need not come
        with alone.step():
            model(x[:50])
        assert alone.history["n"].tolist() == [50] * 3
    found = monitor.history[monitor.history["measure"] == "effective_rank"]
    assert found["n"].tolist() == [240, 480]
    order = torch.cat([torch.cat([part, part]) for part in x.split(SIZES)])
    groups = np.concatenate([np.tile(np.arange(90), 2), 90 + np.tile(np.arange(150), 2)])
    for one, expected in zip(found.itertuples(), (rg.estimate(x), rg.estimate(order, groups=groups)), strict=True):
        assert (one.value, one.low, one.high) == (expected.value, expected.low, expected.high)
    few = Monitor(model, every=1, rows=100)
    with few.step():
        model(x.split(SIZES)[rank])
    assert few.history["n"].tolist() == [100] * 3


def test_rows_of_all_processes_are_read_as_one(done):
    done(rows_are_those_of_both)


def one_has_no_rows(rank, folder):
    model = nn.Identity()
    monitor = Monitor(model, every=1)
    with monitor.step():
        if rank == 1:
            model(torch.randn(20, WIDTH))
    assert monitor.history["n"].tolist() == [20] * 3
    # An error in one process is raised in all: none waits for the other.
    with pytest.raises(ValueError, match="rows of different widths"), monitor.step():
        model(torch.randn(20, WIDTH + rank))


def test_processes_without_rows_and_with_other_widths(done):
    done(one_has_no_rows)


def collapses(rank, folder):
    model = nn.Identity()
    monitor = Monitor(model, every=1, on_collapse="raise", folder=folder, patience=1)
    with pytest.raises(EmbeddingCollapse, match="has collapsed at step 0: its 40 rows"), monitor.step():
        model(torch.ones(20, WIDTH))
    # Rows of one process alone are one point; those of both are not, and both know.
    with monitor.step():
        model(torch.ones(20, WIDTH) * rank + torch.eye(WIDTH)[torch.arange(20) % WIDTH] * rank)
    dist.barrier()
    assert len(list(folder.glob("*.npz"))) == 1


def test_a_collapse_is_raised_in_all_and_written_once(done):
    done(collapses)


def probed(rank, folder):
    model = DistributedDataParallel(encoder())
    monitor = Monitor(model, every=1, probe=batches(1, seed=rank)[0])
    with monitor.step():
        pass
    monitor.history.to_csv(folder / f"{rank}.csv")


def test_a_probe_is_that_of_the_first_process(tmp_path, done):
    first, second = ((done(probed) / f"{rank}.csv").read_text() for rank in (0, 1))
    assert first == second
    model = Encoder()
    model.load_state_dict(encoder().state_dict())
    monitor = Monitor(model, every=1, probe=batches(1, seed=0)[0])
    with monitor.step():
        pass
    monitor.history.to_csv(tmp_path / "alone.csv")
    assert first == (tmp_path / "alone.csv").read_text()
