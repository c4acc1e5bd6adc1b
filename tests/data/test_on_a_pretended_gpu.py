"""What lies on a GPU stays there, and reads as on the CPU: tried without one, with tensors that pretend."""

import numpy as np
import public_calls
import pytest
import torch
from pretended_gpu import GPU, Pretended, pretending

import repgeom as rg
from repgeom.auditing.accumulator import keep_on


def rows(n=240, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 12, generator=generator) * torch.arange(1, 13) ** -0.5 + 0.1
    x[5] = x[7]
    return x.to(dtype), (x + 0.3 * torch.randn(x.shape, generator=generator)).to(dtype)


def numbers(report):
    found = report.to_frame()[["value", "low", "high"]].to_numpy(float)
    return np.append(found.ravel(), report.spectrum.variances)


BESIDE = {
    "nothing": {},
    "labels and groups": {"labels": torch.arange(240) % 4, "groups": torch.arange(240) // 2},
    "others": {"reference": rows()[1], "corrupted": rows()[1], "labels": torch.arange(240) % 4},
    "others, of unit length": {"reference": rows()[1], "corrupted": rows()[1], "normalize": "l2"},
    "a reference in another order": {"reference": rows()[1].flip(0)},
    "standardised": {"reference": rows()[1], "standardize": True, "duplicates": "drop"},
}


@pytest.mark.parametrize("beside", BESIDE)
def test_an_audit_reads_as_on_the_cpu(beside):
    x, options = rows()[0], BESIDE[beside]
    there = {
        name: Pretended(value.clone()) if isinstance(value, torch.Tensor) else value for name, value in options.items()
    }
    with pretending():
        found = rg.audit(Pretended(x.clone()), **there)
    here = rg.audit(x, **options)
    np.testing.assert_allclose(numbers(found), numbers(here), rtol=1e-5, atol=1e-8)
    assert (found.level, len(found.findings)) == (here.level, len(here.findings))


def test_what_stands_beside_rows_may_lie_elsewhere():
    x, y = rows()
    with pretending():
        found = rg.audit(Pretended(x.clone()), reference=y.numpy())
    np.testing.assert_allclose(numbers(found), numbers(rg.audit(x, reference=y)), rtol=1e-5, atol=1e-8)


def test_rows_stay_on_the_gpu(monkeypatch):
    x = rows(4_000)[0]
    brought = []
    whole = Pretended.cpu
    monkeypatch.setattr(Pretended, "cpu", lambda self: brought.append(self.numel()) or whole(self))
    with pretending():
        rg.audit(Pretended(x.clone()))
    assert max(brought) < x.numel()


@pytest.mark.parametrize("plot", [rg.plot_spectrum, rg.plot_cumulative_variance])
@pytest.mark.parametrize("what", ["rows", "spectrum"])
def test_a_plot_takes_what_lies_there(plot, what):
    from matplotlib.figure import Figure

    x = rows()[0]
    with pretending():
        there = Pretended(x.clone())
        given = there if what == "rows" else rg.spectrum(there)
        found = plot(given, ax=Figure().subplots()).lines[0].get_ydata()
    expected = plot(x, ax=Figure().subplots()).lines[0].get_ydata()
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_stacks_of_small_matrices_are_their_matrices():
    x = torch.randn(4, 5, 30, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with pretending():
        found = rg.effective_rank(Pretended(x)).cpu()
    torch.testing.assert_close(found, rg.effective_rank(x), rtol=1e-12, atol=0)


def test_a_gpu_of_fast_float64_multiplies_in_it():
    x = torch.randn(140_000, 64, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)
    with pretending():
        found = rg.spectrum(Pretended(x))
        sigma = found.singular_values.cpu()
    assert found.method == "float64 product"
    torch.testing.assert_close(sigma, rg.spectrum(x).singular_values, rtol=1e-12, atol=0)


def test_sums_on_a_gpu_merge_with_those_from_elsewhere():
    x = rows(600)[0]
    with pretending():
        mine = rg.AuditAccumulator()
        keep_on(mine, GPU)
        mine.update(Pretended(x[:300].clone()), start=0)
        mine.merge(rg.AuditAccumulator().update(x[300:], start=300))
        found = mine.report()
    expected = rg.AuditAccumulator().update(x, start=0).report()
    np.testing.assert_allclose(numbers(found), numbers(expected), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("grad", [False, True])
def test_repairs_read_as_on_the_cpu(grad):
    x, labels = rows(60)[0], torch.arange(60) % 3
    with pretending():
        found = rg.repair.compare_repairs(Pretended(x.clone().requires_grad_(grad)), Pretended(labels.clone()))
    here = rg.repair.compare_repairs(x, labels)
    assert public_calls.plain(found.table) == public_calls.plain(here.table)


@pytest.mark.parametrize("name", ["remove_top", "standardize", "whiten"])
def test_a_transformer_of_scikit_learn_brings_rows_to_the_cpu(name):
    x = rows()[0]
    expected = getattr(rg.repair, name)().fit(x).transform(x)
    with pretending():
        found = getattr(rg.repair, name)().fit(Pretended(x.clone())).transform(Pretended(x.clone()))
    assert (np.asarray(found) == np.asarray(expected)).all()


def test_clean_images_of_a_published_set_may_lie_there(monkeypatch):
    expected = public_calls.CALLS["robustness.published"](None)
    here = public_calls.images
    monkeypatch.setattr(public_calls, "images", lambda n=8, side=16: Pretended(here(n, side)))
    with pretending():
        found = public_calls.CALLS["robustness.published"](None)
    assert public_calls.plain(found) == public_calls.plain(expected)
