"""What encoders are given, how they are left, and what happens where they fail."""

import numpy as np
import pytest
import torch
from encoders import IMAGES, LABELS, TWO, Counted, means, pixels, same

import repgeom as rg


def test_an_encoder_sees_float32_in_0_to_1_without_gradients():
    encoder = Counted(lambda x: pixels(x) + torch.is_grad_enabled())
    rg.robustness.corruption_robustness(encoder, (IMAGES * 255).to(torch.uint8).numpy(), batch_size=10, **TWO)
    assert {(x.dtype, tuple(x.shape[1:])) for x in encoder.seen} == {(torch.float32, (3, 16, 16))}
    assert all(x.min() >= 0 and x.max() <= 1 for x in encoder.seen)
    assert [len(x) for x in encoder.seen] == [10, 10, 4] * 5
    with torch.no_grad():
        assert torch.equal(encoder(IMAGES), pixels(IMAGES))


@pytest.mark.parametrize(
    "call", [rg.robustness.corruption_robustness, lambda e, x, **k: rg.robustness.compare_robustness(e, pixels, x, **k)]
)
def test_an_encoder_that_normalises_in_place_changes_nothing_of_the_users(call):
    def in_place(x):
        return pixels(x.sub_(0.5).div_(0.25))

    images = IMAGES.clone()
    same(call(in_place, images, **TWO), call(lambda x: pixels((x - 0.5) / 0.25), IMAGES, **TWO))
    assert torch.equal(images, IMAGES)


class Model(torch.nn.Module):
    """Dropout, and a part that stays frozen in evaluation mode while the rest trains."""

    def __init__(self):
        super().__init__()
        self.drop, self.frozen, self.fails = torch.nn.Dropout(0.5), torch.nn.BatchNorm1d(54), False
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, x):
        if self.fails:
            raise KeyboardInterrupt
        return self.frozen(self.drop(pixels(x))) * self.weight


def test_modules_run_in_evaluation_mode_and_come_back_as_they_were():
    model = Model().train()
    model.frozen.eval()
    modes = {name: m.training for name, m in model.named_modules()}
    table = rg.robustness.corruption_robustness(model, IMAGES, **TWO)
    assert {name: m.training for name, m in model.named_modules()} == modes == {"": True, "drop": True, "frozen": False}
    same(table, rg.robustness.corruption_robustness(Model().eval(), IMAGES, **TWO))
    model.fails = True
    with pytest.raises(KeyboardInterrupt):
        rg.robustness.compare_robustness(pixels, model, IMAGES, **TWO)
    assert {name: m.training for name, m in model.named_modules()} == modes


# --- encoders that fail -----------------------------------------------------------------------------------------------

FAULTS = {
    "NaN": (
        lambda f: f.index_fill(0, torch.tensor([2, 5]), np.nan),
        "returned values that are not finite for 2 of 24 images",
    ),
    "overflow": (lambda f: (f * 1e6).half(), "returned values that are not finite for 24 of 24 images"),
    "rows": (lambda f: f[:-1], r"must return features \(b, d\), got shape \(23, 54\) for a batch of 24 images"),
    "pooled": (lambda f: f.mean(), r"must return features \(b, d\), got shape \(\) for a batch of 24 images"),
    "tokens": (lambda f: f[:, None], r"must return features \(b, d\), got shape \(24, 1, 54\)"),
    "width": (lambda f: f[:, :7], "returned 7 features, 54 before"),
}


@pytest.mark.parametrize(("fault", "message"), FAULTS.values(), ids=FAULTS)
def test_a_cell_that_fails_is_named_and_the_others_survive(fault, message, probe):
    whole = rg.robustness.corruption_robustness(pixels, IMAGES, LABELS, probe=probe, **TWO)
    with pytest.warns(UserWarning, match=rf"^at contrast, severity 3: the encoder {message}"):
        table = rg.robustness.corruption_robustness(Counted(at=3, instead=fault), IMAGES, LABELS, probe=probe, **TWO)
    lost = (table.corruption == "contrast") & (table.severity == 3)
    same(table[~lost], whole[~lost])
    assert table.measure.tolist() == whole.measure.tolist()
    assert table[lost][["value", "low", "high"]].isna().all(axis=None)
    assert (table[lost].n == 0).all()
    assert table[lost].note.str.match(f"the encoder {message}").all()


@pytest.mark.parametrize("name", [name for name in FAULTS if name != "width"])
def test_a_failure_on_the_clean_images_is_an_error(name):
    with pytest.raises(ValueError, match=f"^on the clean images the encoder {FAULTS[name][1]}"):
        rg.robustness.corruption_robustness(Counted(at=1, instead=FAULTS[name][0]), IMAGES, **TWO)


def test_a_width_that_changes_between_batches_is_named():
    with pytest.raises(ValueError, match="on the clean images the encoder returned 7 features, and 54 for the batch"):
        rg.robustness.corruption_robustness(Counted(at=2, instead=FAULTS["width"][0]), IMAGES, batch_size=12, **TWO)


def test_one_encoder_that_fails_leaves_a_comparison_nan_in_that_cell():
    with pytest.warns(UserWarning, match="at gaussian_noise, severity 1: the encoder returned values"):
        table = rg.robustness.compare_robustness(pixels, Counted(means, 4, lambda f: f * np.nan), IMAGES, **TWO)
    lost = (table.corruption == "gaussian_noise") & (table.severity == 1)
    assert table[lost][["difference", "low", "high", "p_value", "p_holm"]].isna().all(axis=None)
    assert (table[lost].n == 0).all()
    assert table[~lost].difference.notna().all()


def test_an_error_of_the_encoder_says_where_it_happened():
    calls = []

    def breaks(x):
        calls.append(len(x))
        if len(calls) > 1:
            raise RuntimeError("out of memory")
        return x.flatten(1)

    with pytest.raises(RuntimeError, match="out of memory") as caught:
        rg.robustness.corruption_robustness(breaks, IMAGES, corruptions="fog", severities=3)
    assert caught.value.__notes__ == ["at fog, severity 3"]
