"""What is kept of a table after an interruption, and which files are refused."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from encoders import CELLS, IMAGES, LABELS, TWO, Counted, interrupt, pixels, same

import repgeom as rg
from repgeom.robustness.resume import Kept


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
        rg.robustness.corruption_robustness(
            Counted(at=3, instead=lambda features: features * np.nan), IMAGES, out=out, **TWO
        )
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


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(ValueError, match=r"is a folder; name a \.csv to write"):
        rg.robustness.corruption_robustness(pixels, IMAGES, corruptions="fog", severities=3, out=tmp_path)
