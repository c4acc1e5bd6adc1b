"""Tables of corrupted images: what encoders are given, what is kept after an interruption, and what is refused."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch

import repgeom as rg
from repgeom.corruptions import CLIP_STD, corrupt
from repgeom.robustness.resume import Kept

TWO = {"corruptions": ["contrast", "gaussian_noise"], "severities": [1, 3]}
CELLS = [("contrast", 1), ("contrast", 3), ("gaussian_noise", 1), ("gaussian_noise", 3)]
IMAGES = torch.rand(24, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LABELS = np.array(["dim", "lit"])[np.arange(24) % 2]
IMAGES[1::2] *= 0.9


def pixels(x):
    """Image by image and bit by bit the same in any batch: every third pixel, and their squares."""
    part = x[:, :, ::6, ::6].flatten(1)
    return torch.cat([part, part * part], 1)


def means(x):
    return x.mean((2, 3))


class Counted:
    """An encoder that notes what it is given, and on one call does something else."""

    def __init__(self, features=pixels, at=None, instead=None):
        self.features, self.at, self.instead, self.seen = features, at, instead, []

    def __call__(self, x):
        self.seen.append(x.clone())
        return self.instead(self.features(x)) if len(self.seen) == self.at else self.features(x)


def interrupt(features):
    raise KeyboardInterrupt


def same(table, other):
    pd.testing.assert_frame_equal(table, other, rtol=1e-12, atol=1e-12)


def of_cell(table, corruption, severity):
    rows = table[(table.corruption == corruption) & (table.severity == severity)]
    return rows.drop(columns=["corruption", "severity"]).set_index("measure")


@pytest.fixture(scope="module")
def probe():
    return rg.probes.fit_linear_probe(pixels(IMAGES), LABELS, C=0.1)


# --- what the table holds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [None, LABELS])
def test_the_table_is_that_of_the_features_of_corrupted_images(labels, probe):
    table = rg.robustness.corruption_robustness(pixels, IMAGES, labels, probe=probe, k=3, seed=4, confidence=0.9, **TWO)
    moved = {(name, s): pixels(corrupt(IMAGES, name, s, seed=4)) for name, s in CELLS}
    same(
        table, rg.robustness.feature_robustness(pixels(IMAGES), moved, labels, probe=probe, k=3, seed=4, confidence=0.9)
    )
    assert list(table.columns) == ["corruption", "severity", "measure", "value", "low", "high", "n", "note"]
    assert list(dict.fromkeys(zip(table.corruption, table.severity, strict=True))) == [("clean", 0), *CELLS]
    assert not table.duplicated(["corruption", "severity", "measure"]).any()


def test_accuracy_is_that_of_the_probe_and_drops_are_paired(probe):
    table = rg.robustness.corruption_robustness(pixels, IMAGES, LABELS, probe=probe, **TWO)
    before, after = (probe.correct(pixels(x), LABELS).double() for x in (IMAGES, corrupt(IMAGES, "contrast", 3)))
    rows = of_cell(table, "contrast", 3)
    assert rows.value["accuracy"] == after.mean()
    assert rows.value["accuracy_drop"] == pytest.approx(float(before.mean() - after.mean()))
    up, down = (((before - after == sign).sum().item() + 1) / 26 for sign in (1, -1))
    half = scipy.stats.norm.ppf(0.975) * math.sqrt((up + down - (up - down) ** 2) / 26)
    assert rows.loc["accuracy_drop", ["low", "high"]].tolist() == pytest.approx([up - down - half, up - down + half])
    assert of_cell(table, "clean", 0).value["accuracy"] == before.mean()


@pytest.mark.parametrize(("corruptions", "n"), [("all", 19), ("mCE", 15), ("fog", 1), (("fog", "fog", "snow"), 2)])
def test_corruptions_are_named_alone_together_and_once(corruptions, n):
    table = rg.robustness.corruption_robustness(means, IMAGES[:4], corruptions=corruptions, severities=1, k=2)
    names = set(table.corruption) - {"clean"}
    assert len(names) == n
    assert "frost" not in names  # without photographs it is another corruption
    if n == 19:
        assert "frost_procedural" in names


@pytest.mark.parametrize("batch_size", [1, 5, 24, 1000])
def test_the_answer_does_not_depend_on_the_batch_size(batch_size, probe):
    encoder = Counted()
    table = rg.robustness.corruption_robustness(encoder, IMAGES, LABELS, probe=probe, batch_size=batch_size, **TWO)
    same(table, rg.robustness.corruption_robustness(pixels, IMAGES, LABELS, probe=probe, **TWO))
    assert max(len(x) for x in encoder.seen) == min(batch_size, 24)


def test_image_kinds():
    bytes_ = (IMAGES * 255).to(torch.uint8)
    table = rg.robustness.corruption_robustness(pixels, bytes_, **TWO)
    last = torch.channels_last
    for images in (bytes_.numpy(), bytes_.float() / 255, bytes_.contiguous(memory_format=last), bytes_.flip(0).flip(0)):
        same(table, rg.robustness.corruption_robustness(pixels, images, **TWO))
    assert rg.robustness.corruption_robustness(pixels, IMAGES.half(), **TWO).value.notna().all()
    wide = rg.robustness.corruption_robustness(lambda x: pixels(x).numpy().astype(np.float64), bytes_, **TWO)
    same(table, wide)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_encoders_are_compared_in_float64(dtype):
    def half(x):
        return pixels(x).to(getattr(torch, dtype))

    moved = {(name, s): half(corrupt(IMAGES, name, s)).double() for name, s in CELLS}
    same(
        rg.robustness.corruption_robustness(half, IMAGES, **TWO),
        rg.robustness.feature_robustness(half(IMAGES).double(), moved),
    )


# --- what an encoder is given, and how it is left ----------------------------------------------------------------


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


# --- encoders that fail ------------------------------------------------------------------------------------------

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


# --- interruptions -----------------------------------------------------------------------------------------------


def test_after_an_interruption_finished_cells_are_kept_and_not_redone(tmp_path, probe):
    settings = TWO | {"labels": LABELS, "probe": probe, "out": tmp_path / "table.csv"}
    with pytest.raises(KeyboardInterrupt):
        rg.robustness.corruption_robustness(Counted(at=4, instead=interrupt), IMAGES, **settings)
    kept = pd.read_csv(settings["out"])
    assert list(dict.fromkeys(zip(kept.corruption, kept.severity, strict=True))) == [("clean", 0), *CELLS[:2]]
    encoder = Counted()
    table = rg.robustness.corruption_robustness(encoder, IMAGES, **settings)
    assert len(encoder.seen) == 3  # the clean images and the last two cells
    same(table, rg.robustness.corruption_robustness(pixels, IMAGES, **settings | {"out": None}))
    stored = pd.read_csv(settings["out"], keep_default_na=False, na_values={"low": "", "high": ""})
    same(table, stored.drop(columns="recipe"))
    again = Counted()
    same(table, rg.robustness.corruption_robustness(again, IMAGES, **settings))
    assert len(again.seen) == 1


def test_another_choice_of_cells_goes_on_with_the_same_file(tmp_path):
    out, encoder = str(tmp_path / "table.csv"), Counted()
    rg.robustness.corruption_robustness(pixels, IMAGES, out=out, corruptions="contrast", severities=[1, 3])
    table = rg.robustness.corruption_robustness(encoder, IMAGES, out=out, **TWO)
    assert len(encoder.seen) == 3
    same(table, rg.robustness.corruption_robustness(pixels, IMAGES, **TWO))
    few = rg.robustness.corruption_robustness(encoder, IMAGES, out=out, corruptions="gaussian_noise", severities=[3])
    assert (set(few.corruption), len(encoder.seen)) == ({"clean", "gaussian_noise"}, 4)


def test_a_cell_that_failed_is_redone(tmp_path):
    out, encoder = tmp_path / "table.csv", Counted()
    with pytest.warns(UserWarning, match="at contrast, severity 3"):
        rg.robustness.corruption_robustness(Counted(at=3, instead=FAULTS["NaN"][0]), IMAGES, out=out, **TWO)
    table = rg.robustness.corruption_robustness(encoder, IMAGES, out=out, **TWO)
    assert len(encoder.seen) == 2
    same(
        table.sort_values(["corruption", "severity"]).reset_index(drop=True),
        rg.robustness.corruption_robustness(pixels, IMAGES, **TWO)
        .sort_values(["corruption", "severity"])
        .reset_index(drop=True),
    )


def test_levels_that_no_decimal_fraction_holds_are_found_again(tmp_path):
    sigmas, out, encoder = [k / 255 for k in range(1, 9)] + [0.1 + 0.2], tmp_path / "noise.csv", Counted()
    first = rg.robustness.noise_robustness(pixels, IMAGES, sigmas=sigmas, out=out)
    same(first, rg.robustness.noise_robustness(encoder, IMAGES, sigmas=sigmas, out=out))
    assert len(encoder.seen) == 1


@pytest.mark.parametrize("recipe", ["abcdefabcdef", "123456789012", "000000000012", "12345e678901"])
def test_any_recipe_is_known_again(recipe, tmp_path):
    row = {"corruption": "clean", "severity": 0.0, "measure": "accuracy", "value": 0.5, "low": 0, "high": 1, "n": 4}
    Kept(tmp_path / "a.csv", recipe).add(("clean", 0.0), [row | {"note": ""}])
    assert Kept(tmp_path / "a.csv", recipe).has(("clean", 0.0))


def begun(tmp_path, **settings):
    out = tmp_path / "table.csv"
    rg.robustness.corruption_robustness(pixels, IMAGES, **TWO | settings, out=out)
    return out


OTHER_RUNS = {
    "images": {"images": IMAGES.flip(3)},
    "labels": {"labels": LABELS[::-1]},
    "seed": {"seed": 1},
    "k": {"k": 3},
    "max_pair_rows": {"max_pair_rows": 20},
    "confidence": {"confidence": 0.9},
    "strengths": {"strengths": "tiny"},
    "frost": {"frost_images": [IMAGES[0]]},
    "shape": {"images": IMAGES.reshape(24, 3, 8, 32)},
}


@pytest.mark.parametrize("change", OTHER_RUNS.values(), ids=OTHER_RUNS)
def test_a_file_of_another_run_is_refused_and_left(change, tmp_path):
    out = begun(tmp_path, labels=LABELS)
    before = out.read_text()
    with pytest.raises(ValueError, match=r"`out` \(.*table.csv\) holds rows of another run"):
        rg.robustness.corruption_robustness(
            **{"encoder": pixels, "images": IMAGES, "labels": LABELS} | TWO | change, out=out
        )
    assert out.read_text() == before


ENCODERS = {"wider": lambda x: x.flatten(1), "shifted, so of the same rank": lambda x: pixels(x) + 3}


@pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)
def test_a_file_of_another_encoder_is_refused_and_left(encoder, tmp_path):
    out = begun(tmp_path)
    before = out.read_text()
    with pytest.raises(ValueError, match=r"`out` \(.*table.csv\) was begun with another encoder"):
        rg.robustness.corruption_robustness(encoder, IMAGES, out=out, **TWO)
    assert out.read_text() == before


OTHER_PROBES = {
    "weight": lambda p, k: {"probe": dataclasses.replace(p, weight=p.weight * 2), "knn": k},
    "no probe": lambda p, k: {"knn": k},
    "row length": lambda p, k: {"probe": dataclasses.replace(p, normalize="l2"), "knn": k},
    "k": lambda p, k: {"probe": p, "knn": dataclasses.replace(k, k=(2,))},
    "temperature": lambda p, k: {"probe": p, "knn": dataclasses.replace(k, temperature=0.07)},
    "bank labels": lambda p, k: {"probe": p, "knn": dataclasses.replace(k, labels=k.labels[[0, 2, 1]])},
}


@pytest.mark.parametrize("change", OTHER_PROBES.values(), ids=OTHER_PROBES)
def test_a_file_of_another_probe_is_refused(change, tmp_path, probe):
    # All images are "lit" and lie nearest to the first row of the bank: no change here shows in a clean accuracy.
    knn = rg.probes.fit_knn_probe(np.vstack([np.ones(54), -np.eye(54)[:2]]), ["lit", "dim", "lit"], k=1)
    labels = np.full(24, "lit")
    certain = dataclasses.replace(probe, bias=torch.tensor([0.0, 1e3]))
    out = begun(tmp_path, labels=labels, probe=certain, knn=knn)
    with pytest.raises(ValueError, match="holds rows of another run"):
        rg.robustness.corruption_robustness(pixels, IMAGES, labels, out=out, **TWO, **change(certain, knn))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,b\n1,2\n",
        b"\x93NUMPY\xff\x00",
        b"corruption,severity,measure,value,low,high,n,note\nfog,1,accuracy,1,1,1,4,\n",
    ],
)
def test_a_foreign_file_is_refused_and_left(content, tmp_path):
    (tmp_path / "mine.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"`out` \(.*mine.csv\) is not a table of this function"):
        rg.robustness.corruption_robustness(pixels, IMAGES, out=tmp_path / "mine.csv", **TWO)
    assert (tmp_path / "mine.csv").read_bytes() == content


SETTINGS = {
    "text": {"labels": LABELS},
    "bytes": {"labels": LABELS.astype("S")},
    "bfloat16": {"labels": torch.arange(24).bfloat16() % 2},
    "NumPy seed": {"seed": np.int64(3)},
    "NumPy confidence": {"confidence": np.float32(0.9)},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_whatever_is_taken_without_out_is_taken_with_it(settings, tmp_path):
    out = begun(tmp_path, **settings)
    same(
        rg.robustness.corruption_robustness(pixels, IMAGES, **TWO, **settings),
        rg.robustness.corruption_robustness(pixels, IMAGES, **TWO, **settings, out=out),
    )


# --- noise -------------------------------------------------------------------------------------------------------


def test_noise_in_normalised_space_is_pixel_noise_times_std():
    same_noise = [
        rg.robustness.noise_robustness(
            pixels, IMAGES, sigmas=[0.4], space="normalized", std=(0.25, 0.25, 0.25), seed=3
        ),
        rg.robustness.noise_robustness(pixels, IMAGES, sigmas=[0.1], clip=False, seed=3, batch_size=5),
    ]
    left, right = (table[table.corruption != "clean"].reset_index(drop=True) for table in same_noise)
    same(left.drop(columns=["corruption", "severity"]), right.drop(columns=["corruption", "severity"]))
    assert (set(left.corruption), set(right.corruption)) == ({"normalized_noise"}, {"pixel_noise"})


@pytest.mark.parametrize(
    ("settings", "rms"),
    [({}, 0.2), ({"space": "normalized", "std": CLIP_STD}, 0.2 * math.sqrt(np.mean(np.square(CLIP_STD))))],
)
def test_noise_is_as_strong_as_its_row_says(settings, rms):
    encoder = Counted()
    table = rg.robustness.noise_robustness(encoder, IMAGES, **settings, sigmas=[0.2, 0.05], clip=False)
    rows = table[table.measure == "noise_rms"].set_index("severity").value
    assert rows.to_dict() == pytest.approx({0.2: rms, 0.05: rms / 4})
    clean, strong, weak = encoder.seen
    assert (strong - clean).square().mean().sqrt() == pytest.approx(rms, rel=4 / math.sqrt(2 * clean.numel()))
    assert torch.allclose(strong - clean, 4 * (weak - clean), atol=1e-5)  # the same draws at every level


def test_pixel_noise_stays_in_0_to_1_and_normalised_noise_does_not():
    for settings, inside in (({}, True), ({"space": "normalized", "std": (1, 1, 1)}, False)):
        encoder = Counted()
        rg.robustness.noise_robustness(encoder, IMAGES, sigmas=[0.5], **settings)
        assert (encoder.seen[1].min() >= 0 and encoder.seen[1].max() <= 1) == inside


# --- two encoders ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compared(probe):
    mean_probe = rg.probes.fit_linear_probe(means(IMAGES), LABELS, C=100.0)
    settings = TWO | {"k": 3, "severities": [3, 5]}
    tables = [
        rg.robustness.corruption_robustness(e, IMAGES, LABELS, probe=p, **settings)
        for e, p in ((pixels, probe), (means, mean_probe))
    ]
    pair = rg.robustness.compare_robustness(pixels, means, IMAGES, LABELS, probes=(probe, mean_probe), **settings)
    turned = rg.robustness.compare_robustness(means, pixels, IMAGES, LABELS, probes=(mean_probe, probe), **settings)
    return pair, turned, tables, (probe, mean_probe)


def test_a_comparison_is_the_difference_of_two_tables(compared):
    pair, turned, tables, _ = compared
    keys = ["corruption", "severity", "measure"]
    for column, table in zip(("first", "second"), tables, strict=True):
        both = pair.merge(table, on=keys, suffixes=("", "_alone"), validate="1:1")
        assert len(both) == len(pair) == len(table)
        assert both[column].tolist() == pytest.approx(both.value.tolist(), abs=1e-12)
    assert pair.difference.tolist() == pytest.approx((pair.second - pair["first"]).tolist())
    back = pair[keys].merge(turned, on=keys)
    assert back.difference.tolist() == pytest.approx((-pair.difference).tolist())
    assert back.low.tolist() == pytest.approx((-pair.high).tolist(), nan_ok=True)
    assert back.p_value.tolist() == pytest.approx(pair.p_value.tolist(), nan_ok=True)


def test_accuracies_are_compared_by_mcnemars_test(compared):
    pair, probes = compared[0], compared[3]
    accuracy = pair[pair.measure == "accuracy"].set_index(["corruption", "severity"])
    for cell in (("contrast", 5), ("gaussian_noise", 3)):
        moved = corrupt(IMAGES, *cell)
        mine, theirs = (p.correct(e(moved), LABELS) for p, e in zip(probes, (pixels, means), strict=True))
        better, worse = int((theirs & ~mine).sum()), int((mine & ~theirs).sum())
        assert better + worse > 0
        row = accuracy.loc[cell]
        assert row.p_value == pytest.approx(scipy.stats.binomtest(better, better + worse).pvalue)
        assert (row.test, row.n, row.difference) == ("McNemar, exact", 24, pytest.approx((better - worse) / 24))


def test_p_values_are_corrected_over_the_corrupted_cells_of_a_measure(compared):
    pair = compared[0]
    for measure, rows in pair[pair.corruption != "clean"].groupby("measure"):
        p = rows.p_value.to_numpy()
        slow = [max(min(1, (p > q).sum() * q + (p == q).sum() * q) for q in p if q <= v) if v == v else v for v in p]
        assert rows.p_holm.tolist() == pytest.approx(slow, nan_ok=True), measure


def test_both_encoders_see_the_same_draws_and_equal_ones_do_not_differ():
    one, other = Counted(), Counted(means)
    rg.robustness.compare_robustness(one, other, IMAGES, batch_size=7, **TWO)
    assert all(torch.equal(a, b) for a, b in zip(one.seen, other.seen, strict=True))
    table = rg.robustness.compare_robustness(pixels, pixels, IMAGES, LABELS, **TWO)
    assert (table.difference == 0).all()
    assert (table.p_value.dropna() == 1).all()
    assert {"knn_accuracy", "cosine_drift", "self_retrieval"} <= set(table.dropna().measure)


def test_a_measure_that_only_one_encoder_has_is_left_out(probe):
    table = rg.robustness.compare_robustness(pixels, means, IMAGES, LABELS, probes=(probe, None), **TWO)
    assert "knn_accuracy" in set(table.measure)
    assert not {"accuracy", "probe_drift"} & set(table.measure)


# --- bad input ---------------------------------------------------------------------------------------------------

BAD = {
    "too bright": ({"images": IMAGES * 255}, ValueError, r"`images` must lie in \[0, 1\], got values from"),
    "NaN": ({"images": IMAGES * np.nan}, ValueError, r"`images` must lie in \[0, 1\], got values from nan"),
    "one image": ({"images": IMAGES[0]}, ValueError, r"got \(3, 16, 16\). For one image add a first dimension"),
    "channels": ({"images": IMAGES.permute(0, 2, 3, 1)}, ValueError, r"got \(24, 16, 16, 3\). Channels come second"),
    "grey": ({"images": IMAGES[:, :1]}, ValueError, r"got \(24, 1, 16, 16\). Grey images"),
    "dtype": ({"images": IMAGES.long()}, TypeError, "`images` must be uint8 or floats .* got torch.int64"),
    "none": ({"images": IMAGES[:0]}, ValueError, "at least 4"),
    "few": ({"images": IMAGES[:3]}, ValueError, "at least 4"),
    "small": ({"images": IMAGES[..., :7]}, ValueError, "of 16 x 7 pixels are too small for contrast at severity 1"),
    "name": ({"corruptions": "gausian_noise"}, ValueError, "'gausian_noise'. Did you mean 'gaussian_noise'"),
    "no name": ({"corruptions": []}, ValueError, "`corruptions` is empty"),
    "severity": ({"severities": [1, 6]}, ValueError, "from 0 .* to 5 .*, got 6"),
    "NaN severity": ({"severities": [np.nan]}, ValueError, "got nan"),
    "severity 0": ({"severities": [0, 1]}, ValueError, r"above 0 and up to 5, got \[0, 1\]"),
    "no severity": ({"severities": []}, ValueError, r"above 0 and up to 5, got \[\]"),
    "table": ({"strengths": "coco"}, ValueError, "coco"),
    "labels": ({"labels": LABELS[:23]}, ValueError, "`labels` has 23 entries .* 24 rows"),
    "batch": ({"batch_size": 0}, ValueError, "`batch_size` must be a whole number of at least 1, got 0"),
    "k": ({"k": 0}, ValueError, "`k` must be a whole number from 1 to 22 here, got 0"),
    "confidence": ({"confidence": 95}, ValueError, "`confidence` .* 95"),
    "constant": ({"encoder": lambda x: x[:, 0, :2, 0] * 0}, ValueError, "zero variance: all rows are equal"),
    "no features": ({"encoder": lambda x: x[:, 0, 0, :0]}, ValueError, r"\(24, 0\)"),
    "a dict": ({"encoder": lambda x: {"features": x}}, TypeError, "the encoder's features.* dict"),
}


@pytest.mark.parametrize(("change", "kind", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_named(change, kind, message):
    with pytest.raises(kind, match=message):
        rg.robustness.corruption_robustness(**{"encoder": pixels, "images": IMAGES} | TWO | change)


@pytest.mark.parametrize("name", ["too bright", "dtype", "small", "name", "severity", "table", "batch"])
def test_what_can_be_known_beforehand_is_said_before_any_work(name):
    encoder = Counted()
    change, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        rg.robustness.compare_robustness(encoder, encoder, **{"images": IMAGES} | TWO | change)
    assert encoder.seen == []


NOISE = {
    "negative": ({"sigmas": [0.1, -0.1]}, "`sigma` must be a finite number of at least 0, got -0.1"),
    "zero": ({"sigmas": [0.0, 0.1]}, "`sigmas` must be numbers above 0"),
    "none": ({"sigmas": []}, "`sigmas` must be numbers above 0"),
    "infinite": ({"sigmas": [np.inf]}, "got inf"),
    "space": ({"space": "latent"}, "`space` must be .* got 'latent'"),
    "no std": ({"space": "normalized"}, "needs `std`, three numbers"),
}


@pytest.mark.parametrize(("change", "message"), NOISE.values(), ids=NOISE)
def test_bad_noise_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        rg.robustness.noise_robustness(pixels, IMAGES, **change)


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


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(ValueError, match=r"is a folder; name a \.csv to write"):
        rg.robustness.corruption_robustness(pixels, IMAGES, corruptions="fog", severities=3, out=tmp_path)


def test_a_comparison_is_not_drawn():
    table = rg.robustness.compare_robustness(pixels, means, IMAGES, corruptions="fog", severities=3)
    with pytest.raises(ValueError, match="a comparison of two encoders is not drawn"):
        rg.plot_robustness(table)
