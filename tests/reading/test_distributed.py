"""Two processes on the loopback hold together what one would."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from two_processes import Done

import repgeom as rg
from repgeom.data import arrays as gate
from repgeom.spectral import methods

ROWS, WIDTH = 301, 12


def features():
    rng = np.random.default_rng(0)
    return rng.standard_normal((ROWS, WIDTH)) * np.arange(1, WIDTH + 1.0) ** -1 + 100


def steep_in_the_second_half():
    x = np.random.default_rng(0).standard_normal((6000, 150)).astype(np.float32)
    x[3000:] *= np.arange(1, 151, dtype=np.float32) ** -1.5
    x[:3000] *= np.arange(1, 151, dtype=np.float32) ** -1.0
    return x


# --- what both processes do -------------------------------------------------------------------------------------------

SPLITS = [(100, "float64"), (0, "float64"), (299, "qr"), (5, "qr")]  # at which row the second one begins, and how


def accumulate(rank, folder):
    for split, method in SPLITS:
        part = np.array_split(features(), [split])[rank]
        acc = rg.SpectrumAccumulator(method=method)
        for batch in np.array_split(part, max(1, len(part) // 50)):
            if len(batch):
                acc.update(batch)
        acc.all_reduce()
        s = acc.spectrum()
        torch.save((acc.n_samples, s.singular_values, s.mean), folder / f"{split}-{rank}.pt")
        for again in (acc.all_reduce, lambda acc=acc, part=part: acc.update(part)):
            with pytest.raises(RuntimeError, match="rows would count twice"):
                again()


def cannot_add(rank, folder):
    acc = rg.SpectrumAccumulator()
    with pytest.raises(ValueError, match="no process has rows"):
        acc.all_reduce()
    acc.update(np.ones((3, 2 + rank)))
    with pytest.raises(ValueError, match=r"other widths: \(2,\), \(3,\)"):
        acc.all_reduce()


def audit_together(rank, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "CHUNK_VALUES", 40 * WIDTH)
        report = rg.audit(features(), distributed=True)
    torch.save(report.to_json(), folder / f"{rank}.pt")
    np.save(folder / f"here-{rank}", features())
    with pytest.raises(FileNotFoundError):
        rg.audit("nowhere.npy" if rank else folder / "here-0.npy", distributed=True)


def settle_apart(rank, folder):
    """Only the second process sees a steep spectrum; both then go on as it must."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "CHUNK_VALUES", 600 * 150)
        patch.setattr(methods, "FEW_VALUES", 4 * 600 * 150)
        report = rg.audit(steep_in_the_second_half(), distributed=True)
    torch.save((report.spectrum.method, report.spectrum.singular_values), folder / f"{rank}.pt")


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return Done(tmp_path_factory.mktemp("two"), accumulate, cannot_add, audit_together, settle_apart)


# --- what came of it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [split for split, _ in SPLITS])
def test_all_reduce_gives_every_process_the_whole(done, split):
    whole = rg.spectrum(features())
    for rank in (0, 1):
        n, sigma, mean = torch.load(done(accumulate) / f"{split}-{rank}.pt", weights_only=False)
        assert n == ROWS
        np.testing.assert_allclose(sigma, whole.singular_values, rtol=1e-10)
        np.testing.assert_allclose(mean, whole.mean, rtol=1e-12)


def test_without_a_process_group_it_says_how_to_make_one():
    with pytest.raises(RuntimeError, match="start with `torchrun`"):
        rg.SpectrumAccumulator().update(np.eye(3)).all_reduce()


def test_what_cannot_be_added_is_refused_on_every_process(done):
    done(cannot_add)


def test_processes_whose_rows_differ_agree_on_one_method(done):
    folder = done(settle_apart)
    (mine, sigma), (theirs, _) = (torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1))
    assert mine == theirs == "float32 product, leading directions apart"
    x = steep_in_the_second_half().astype(np.float64)
    truth = np.linalg.svd(x - x.mean(0), compute_uv=False)
    for of in ("variances", "singular_values"):
        found, exact = (rg.effective_rank(rg.Spectrum.from_singular_values(s), of=of) for s in (sigma, truth))
        assert found == pytest.approx(exact, rel=1e-6)


# --- one audit by two processes ----------------------------------------------------------------------------------


def torchrun(*command, folder):
    """Two processes on the loopback; standard output of both, and the exit status."""
    launched = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "repgeom", *command]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(launched, capture_output=True, text=True, cwd=folder, env=env)
    return done.stdout, done.stderr, done.returncode


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dump")
    sigma = np.arange(1, 17.0) ** -1.5
    x = rg.testing.features_with_spectrum(sigma * 3000**0.5, 3000, mean=np.full(16, 2.0))
    x[2900] = x[5]
    for i, part in enumerate(np.split(x, [100, 1000, 1900])):
        np.save(folder / f"part-{i}.npy", part)
    np.save(folder / "teacher", rg.testing.features_with_spectrum(np.ones(8) * 50.0, 3000, seed=3))
    rng = np.random.default_rng(4)
    np.save(folder / "moved", x + 0.01 * rng.standard_normal(x.shape))
    np.save(folder / "labels", rng.integers(0, 5, 3000))
    np.save(folder / "groups", np.arange(3000) // 3)
    return folder


def assert_equal_reports(found, expected, where=""):
    """To rounding: sums were added up in another order."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            assert_equal_reports(found[key], expected[key], f"{where}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for i, pair in enumerate(zip(found, expected, strict=True)):
            assert_equal_reports(*pair, f"{where}[{i}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9), where
    elif where.endswith("reason"):
        return  # a sentence with numbers in it
    else:
        assert found == expected, where


def test_torchrun_gives_one_report_and_it_is_that_of_one_process(dump):
    how = (
        "part-*.npy", "--reference", "teacher.npy", "--corrupted", "moved.npy", "--labels", "labels.npy", "--groups",
        "groups.npy", "--checkpoint", "kept", "--json",
    )  # fmt: skip
    printed, errors, status = torchrun("audit", *how, "two.json", folder=dump)
    assert status == 0, errors
    assert printed.count("samples × 16 features") == 1
    assert not (dump / "kept").exists()
    subprocess.run(
        [sys.executable, "-m", "repgeom", "audit", *how, "one.json"], cwd=dump, check=True, stdout=subprocess.DEVNULL
    )
    assert_equal_reports(*(json.loads((dump / name).read_text()) for name in ("two.json", "one.json")))


def test_torchrun_says_once_what_is_wrong_in_the_part_of_one_process(dump, tmp_path):
    x = np.load(dump / "part-3.npy")
    x[-1, 3] = np.nan
    np.save(tmp_path / "bad.npy", x)
    printed, errors, status = torchrun("audit", "bad.npy", folder=tmp_path)
    assert status != 0
    assert errors.count("repgeom: error: `features` (bad.npy) has 1 non-finite value") == 1
    assert printed == ""


def test_all_processes_get_the_report_and_the_error_of_any(done):
    folder = done(audit_together)
    mine, theirs = (torch.load(folder / f"{rank}.pt", weights_only=False) for rank in (0, 1))
    assert mine == theirs
    expected = json.loads(rg.audit(features()).to_json())
    assert_equal_reports(json.loads(mine), expected)
