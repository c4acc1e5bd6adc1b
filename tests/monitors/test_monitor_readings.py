"""What a reading says of the population behind the rows of one step."""

import numpy as np
import pytest
import torch
from torch import nn
from training import WIDTH, batches, encoder

import repgeom as rg
from repgeom.monitors import Monitor

RANKS = ("effective_rank", "effective_rank_sigma", "participation_ratio")


def read(rows, **options):
    """{measure: row of the history} of these rows."""
    monitor = Monitor(nn.Identity(), every=1, **options)
    with monitor.step():
        monitor._model(rows)
    return monitor.history.set_index("measure")


def drawn(n, variances, seed=0, dtype=torch.float32, mean=0.0):
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(n, len(variances), generator=random, dtype=torch.float64) * torch.tensor(variances).sqrt() + mean
    return x.to(dtype)


@pytest.mark.parametrize("measure", RANKS)
@pytest.mark.parametrize("power", [0.0, 0.7, 1.5])
@pytest.mark.parametrize("per_feature", [0.5, 2, 10])
def test_it_is_the_populations_and_not_that_of_the_rows(measure, power, per_feature):
    """Over many steps the mean reading is the population's, though single steps have few rows for the width."""
    d = 64
    variances = np.arange(1, d + 1.0) ** -power
    n, draws = int(per_feature * d), 12
    values = [read(drawn(n, variances, seed), measures=[measure])["value"].item() for seed in range(draws)]
    here = [getattr(rg, measure)(drawn(n, variances, seed)) for seed in range(draws)] if measure in dir(rg) else None
    planted = np.sqrt(variances) if measure == "effective_rank_sigma" else variances
    q = planted / planted.sum()
    true = np.exp(-(q * np.log(q)).sum())
    if measure == "participation_ratio":
        true = variances.sum() ** 2 / (variances**2).sum()
    spread = 4 * np.std(values) / draws**0.5
    assert np.mean(values) == pytest.approx(true, rel=0.03, abs=spread)
    if here is not None and power == 0.0 and per_feature < 10:
        assert np.mean(here) < 0.9 * true  # what rows alone would say


@pytest.mark.parametrize("interval", [False, True])
def test_values_are_close_to_estimates(interval):
    rows = drawn(400, np.arange(1, 33.0) ** -1, mean=3.0)
    measures = [*RANKS, "stable_rank", "n_components_90", "mean_cosine"]
    found = read(rows, measures=measures, interval=interval)
    assert found.index.tolist() == measures
    for measure in measures[:-1]:
        expected = rg.estimate(rows, measure)
        assert found.loc[measure, "value"] == pytest.approx(expected.value, rel=0.01)
        given = (found.loc[measure, "low"], found.loc[measure, "high"])
        if interval and expected.low is not None:
            assert given == (expected.low, expected.high)
        else:
            assert np.isnan(given).all()
    assert found.loc["mean_cosine", "value"] == pytest.approx(float(rg.mean_cosine(rows)))


def test_measures_may_be_functions():
    rows = drawn(100, np.ones(5))
    found = read(rows, measures=[rg.mean_cosine, rg.effective_rank, "effective_rank"])
    assert found.index.tolist() == ["mean_cosine", "effective_rank"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 1.0, -300.0, 1e-4])
@pytest.mark.parametrize("noise", [0.0, 0.9])
@pytest.mark.parametrize("interval", [False, True])
def test_rows_that_are_all_equal_read_one(dtype, value, noise, interval):
    """Also where rounding to their type is all that tells them apart: it looks like noise in all directions."""
    x = torch.full((200, 16), value, dtype=torch.float64)
    x = x * (1 + noise * torch.finfo(dtype).eps * torch.rand(x.shape, generator=torch.manual_seed(0)))
    found = read(x.to(dtype), interval=interval)
    assert found["value"].tolist() == [1.0, 1.0, 1.0]
    assert found[["low", "high"]].isna().all(axis=None)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_rows_far_from_zero_that_do_vary_are_no_collapse(dtype):
    x = drawn(400, np.full(16, 0.25), mean=30.0).to(dtype)
    assert read(x)["value"]["effective_rank"] > 15


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_are_nan_and_said_once(bad):
    monitor = Monitor(nn.Identity(), every=1, on_collapse="raise", below=0.9, patience=1)
    x = drawn(100, np.ones(8))
    x[3, 5] = bad
    with pytest.warns(UserWarning, match="'output' gave values that are not finite at step 0"), monitor.step():
        monitor._model(x)
    with monitor.step():
        monitor._model(x)
    assert monitor.history["value"].isna().all()
    assert len(monitor.history) == 6


def test_half_precision_is_pooled_in_single():
    x = (5 + 0.1 * torch.randn(300, 128, 8, generator=torch.manual_seed(0))).bfloat16()
    found = read(x)["value"]["effective_rank"]
    assert found == pytest.approx(rg.estimate(x.float().mean(1)).value, rel=0.01)


def test_it_reads_the_same_in_any_settings():
    model, batch = encoder().eval(), batches(1, size=200)[0]
    expected = read(model(batch).detach())["value"].tolist()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert read(model(batch).float()[:, :WIDTH])["value"].shape == (3,)
    rows = model(batch).detach()
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        assert read(rows)["value"].tolist() == expected


def test_padding_does_not_count():
    """Whichever way the mask reaches the model: by name, by place, or by the monitor's `mask`."""

    class Text(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Embedding(50, 8)

        def forward(self, idx, attention_mask=None):
            return self.embed(idx)

    torch.manual_seed(0)
    model = Text()
    ids = torch.randint(1, 50, (100, 6))
    mask = torch.arange(6) < torch.randint(1, 7, (100, 1))
    ids[~mask] = 0
    pooled = (model.embed(ids) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    expected = read(pooled.detach())["value"]["effective_rank"]
    ways = [
        (lambda: model(ids, mask), None),
        (lambda: model(idx=ids, attention_mask=mask), None),
        (lambda: model(ids), mask),
        (lambda: model(ids), lambda batch: batch != 0),
    ]
    for call, given in ways:
        for layer in ("embed", "output"):
            monitor = Monitor(model, layers=layer, every=1, mask=given)
            with monitor.step():
                call()
            assert monitor.history["value"][0] == pytest.approx(expected, rel=1e-6)
    # Called as a part of a model that is not called itself, and the layer deeper in it.
    whole = nn.ModuleDict({"text": nn.ModuleDict({"tower": model})})
    monitor = Monitor(whole, layers=["text.tower.embed"], every=1)
    with monitor.step():
        whole["text"]["tower"](ids, attention_mask=mask)
    assert monitor.history["value"][0] == pytest.approx(expected, rel=1e-6)
    monitor = Monitor(model, every=1)
    with pytest.raises(ValueError, match="no `attention_mask`: padding would count"), monitor.step():
        model(ids)
    monitor = Monitor(model, every=1, pool="tokens", mask=mask, interval=True)
    with monitor.step():
        model(ids)
    tokens, groups = model.embed(ids)[mask].detach(), np.nonzero(mask.numpy())[0]
    assert monitor.history["value"][0] == rg.estimate(tokens, groups=groups).value
    assert monitor.history["n"][0] == int(mask.sum())


@pytest.mark.parametrize(
    ("layer", "shape", "positions"),
    [(nn.Conv1d(5, 8, 3), (60, 5, 9), 2), (nn.Linear(5, 8), (60, 4, 6, 5), (1, 2)), (nn.Linear(5, 8), (60, 9, 5), 1)],
    ids=["channels, then positions", "a map with channels last", "a sequence"],
)
def test_positions_are_averaged_wherever_the_features_lie(layer, shape, positions):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(layer, nn.Flatten())
    monitor = Monitor(model, layers=["0"], every=1)
    with monitor.step(), torch.no_grad():
        model(x)
    found = monitor.history.set_index("measure")["value"]
    expected = read(layer(x).detach().mean(positions))["value"]
    assert found["effective_rank"] == pytest.approx(expected["effective_rank"], rel=1e-6)
