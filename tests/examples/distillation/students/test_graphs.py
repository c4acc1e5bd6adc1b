"""When a step of training is replayed from a CUDA graph, and that a replayed one trains as one that is not."""

import contextlib

import pytest
import torch

from repgeom_examples.distillation.settings import configs
from repgeom_examples.distillation.students import graphs, networks, objectives, terms

from ..small_runs import SMALL, numbered
from .test_training import trained

CUDA = torch.device("cuda")


def is_capturable(name, device=CUDA, augmented=False, own_student=False):
    objective = objectives.objective_of(name, SMALL)
    return graphs.is_capturable(device, objective, augmented=augmented, own_student=own_student)


def test_a_graph_is_for_a_gpu_known_students_and_images_as_they_are():
    assert is_capturable("cosine+infonce")
    assert not is_capturable("cosine+infonce", torch.device("cpu"))
    assert not is_capturable("cosine+infonce", augmented=True)
    assert not is_capturable("cosine+infonce", own_student=True)


@pytest.mark.parametrize("name", sorted({*objectives.TERMS} - {*graphs.CAPTURABLE}))
def test_one_term_that_cannot_be_recorded_is_enough(name):
    assert not is_capturable(name)
    assert not is_capturable(f"cosine+{name}")


@pytest.mark.parametrize("name", graphs.CAPTURABLE)
def test_what_is_recorded_asks_for_no_number_on_the_cpu(name, rng):
    """On "meta" there are no numbers: a term that needs one to go on fails there."""
    s, t = (torch.tensor(rng.standard_normal((8, 6)), dtype=torch.float32) for _ in range(2))
    bank = terms.Bank(t)
    # Each read once, as in the steps before a graph is recorded.
    for key in ("units", "center", "whitening"):
        setattr(bank, key, getattr(bank, key).to("meta"))
    bank.features = t.to("meta")
    rows = torch.arange(8, device="meta")
    batch = terms.Batch(s.to("meta"), bank.features[rows], None, SMALL, rows, bank, None)
    assert objectives.TERMS[name](batch).shape == ()


def test_a_recorded_step_is_given_every_batch_after_the_warm_up(monkeypatch):
    """On a CPU, where recording runs nothing and a replay is the step itself on what lies in the recorded rows."""
    calls = []

    class Graph:
        def replay(self):
            replayed.loss = step(replayed.rows)

    def step(rows, *others):
        calls.append(rows.clone())
        return rows.sum()

    @contextlib.contextmanager
    def recording(graph, stream):
        before = list(calls)
        yield
        calls[:] = before

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: None)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    monkeypatch.setattr(graphs.Replayed, "_beside", lambda self, *arguments: self.step(*arguments))
    replayed = graphs.Replayed(step, torch.device("cpu"))
    batches = list(torch.arange(12).split(2))
    losses = [int(replayed(rows)) for rows in batches]
    assert losses == [int(rows.sum()) for rows in batches]
    assert torch.equal(torch.cat(calls), torch.arange(12))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are of CUDA")
@pytest.mark.parametrize("name", graphs.CAPTURABLE)
@pytest.mark.parametrize("precision", configs.PRECISIONS)
def test_a_replayed_training_is_the_one_step_by_step(name, precision):
    found = []
    for replayed in (True, False):
        student = networks.make_student("cnn", 1, 5, 0).cuda()
        target = torch.randn(64, 5, generator=torch.Generator().manual_seed(3)).cuda()
        settings = configs.Training(epochs=3, batch_size=8, precision=precision)
        found.append(trained(student, numbered(64).cuda(), [target], name, settings, replayed=replayed))
    assert found[0] == pytest.approx(found[1], rel=1e-2 if precision == "bfloat16" else 1e-3)
