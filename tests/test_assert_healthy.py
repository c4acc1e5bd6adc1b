"""`assert_healthy` in a user's own test: what it takes, when it raises, and what it then says."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import repgeom as rg
from repgeom.testing import assert_healthy, features_with_spectrum

N, D = 400, 12


@pytest.fixture(scope="module")
def good():
    return features_with_spectrum([1.0] * D, n_samples=N)


@pytest.fixture(scope="module")
def collapsed(good):
    return good[:, :1] * np.arange(1, D + 1.0) + 1e-4 * good


def frame(x):
    import pandas as pd

    return pd.DataFrame(x, columns=[f"f{i}" for i in range(x.shape[1])])


KINDS = {
    "array": np.asarray,
    "float32": np.float32,
    "tensor": torch.tensor,
    "list": lambda x: x.tolist(),
    "frame": frame,
    "stream": lambda x: iter(np.array_split(x, 4)),
    "report": rg.audit,
}


@pytest.mark.parametrize("kind", [*KINDS, "path", "read back"])
def test_it_takes_what_audit_takes_or_a_report(kind, good, collapsed, tmp_path):
    def given(x):
        if kind == "path":
            np.save(tmp_path / "x.npy", x)
            return str(tmp_path / "x.npy")
        if kind == "read back":
            return rg.Report.from_json(rg.audit(x).to_json())
        return KINDS[kind](x)

    assert assert_healthy(given(good)).level == "ok"
    with pytest.raises(AssertionError, match="is not healthy: the verdict is fail"):
        assert_healthy(given(collapsed))


def test_the_message_is_the_verdict(collapsed):
    report = rg.audit(collapsed, name="mine")
    with pytest.raises(AssertionError) as raised:
        assert_healthy(report)
    first, *lines = str(raised.value).splitlines()
    assert first == "mine is not healthy: the verdict is fail."
    assert "\n".join(lines) == report.verdict_text()
    assert lines[:-1] == str(report).splitlines()[: len(lines) - 1]
    assert lines[-1].strip().startswith("Verdict: FAIL for transfer")
    assert any(line.strip().startswith("try:") for line in lines)


@pytest.mark.parametrize(("fail_on", "healthy"), [("warn", False), ("fail", True), (None, True)])
def test_fail_on_says_what_is_bad_enough(good, fail_on, healthy):
    warned = rg.audit(good, thresholds={"rank_share": (2.0, None)})
    assert warned.level == "warn"
    if healthy:
        assert assert_healthy(warned, fail_on=fail_on) is warned
    else:
        with pytest.raises(AssertionError, match="the verdict is warn"):
            assert_healthy(warned, fail_on=fail_on)


def test_no_verdict_no_failure(collapsed):
    assert assert_healthy(collapsed, fail_on=None).level == "fail"


def test_options_reach_the_audit(good):
    labels = np.arange(N) % 3
    report = assert_healthy(good, labels=labels, purpose="classify", normalize="l2", name="x", fail_on=None)
    assert (report.purpose, report.name, report.convention["normalize"]) == ("classify", "x", "l2")
    assert report["knn_accuracy"].value is not None


@pytest.mark.parametrize(("least", "healthy"), [(5, True), (11.99, True), (13, False)])
@pytest.mark.parametrize("n", [N, 30])
def test_dimensions_in_use(least, healthy, n):
    """30 rows give no interval, and the value decides."""
    x = np.random.default_rng(0).standard_normal((n, D)) if n == N else features_with_spectrum([1.0] * D, n_samples=n)
    if healthy:
        assert_healthy(x, min_effective_rank=least, fail_on=None)
    else:
        with pytest.raises(AssertionError, match=rf"effective rank is 12 \((95 %|no interval).*below {least}"):
            assert_healthy(x, min_effective_rank=least, fail_on=None)


def test_an_interval_that_reaches_the_least_is_no_failure():
    x = np.random.default_rng(0).standard_normal((150, D)) * np.arange(1, D + 1) ** -0.5
    rank = rg.audit(x)["effective_rank"]
    between = (rank.value + rank.high) / 2
    assert_healthy(x, min_effective_rank=between, fail_on=None)
    with pytest.raises(AssertionError, match="below"):
        assert_healthy(x, min_effective_rank=rank.high * 1.01, fail_on=None)


@pytest.mark.parametrize("given", ["report", "text", "path"])
def test_what_was_lost_since_a_baseline(good, given, tmp_path):
    old = rg.audit(good, name="old")
    old.to_json(tmp_path / "old.json")
    baseline = {"report": old, "text": old.to_json(), "path": tmp_path / "old.json"}[given]
    worse = good * np.r_[np.ones(D - 2), 0.1, 0.1]
    assert_healthy(worse, baseline=baseline, max_drop="effective_rank=50%", fail_on=None)
    with pytest.raises(AssertionError, match=r"since old: effective_rank fell by 1\d.*more than 5%"):
        assert_healthy(worse, baseline=baseline, max_drop=["effective_rank=50%", "effective_rank=5%"], fail_on=None)


def test_strict_raises_where_nothing_is_decided(good):
    asked = {"baseline": rg.audit(good), "max_drop": "numerical_rank=1"}
    assert_healthy(good, **asked)
    with pytest.raises(AssertionError, match="not decided: numerical_rank"):
        assert_healthy(good, **asked, strict=True)


def test_paired_is_that_of_compare_reports(good):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((150, 6)) * np.arange(1, 7) ** -1.0
    slightly = x * np.r_[np.ones(5), 0.97]
    asked = {"baseline": rg.audit(x), "max_drop": "effective_rank=0", "fail_on": None}
    assert_healthy(slightly, **asked)
    with pytest.raises(AssertionError, match="effective_rank fell"):
        assert_healthy(slightly, **asked, paired=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fail_on": "bad"}, "`fail_on` must be"),
        ({"min_effective_rank": float("nan")}, "`min_effective_rank`"),
        ({"max_drop": "effective_rank=5%"}, "`baseline`"),
        ({"strict": True}, "`baseline`"),
        ({"max_drop": "rank=5%", "baseline": "nowhere.json"}, "`max_drop` names 'rank'"),
        ({"max_drop": "effective_rank"}, "`max_drop` takes"),
        ({"purpose": "clustering"}, "`purpose`"),
    ],
)
def test_what_cannot_be_asked_is_no_failed_assertion(good, options, message):
    with pytest.raises(ValueError, match=message):
        assert_healthy(good, **options)


def test_a_report_has_been_audited_already(good):
    report = rg.audit(good, purpose="retrieve")
    assert assert_healthy(report, purpose="retrieve") is report
    with pytest.raises(ValueError, match="is a report for retrieve"):
        assert_healthy(report, purpose="transfer")
    with pytest.raises(ValueError, match="labels would have been of its audit"):
        assert_healthy(report, labels=np.arange(N) % 2)
    with pytest.raises(ValueError, match="`max_drop` names knn_accuracy, which the report"):
        assert_healthy(report, baseline=report, max_drop="knn_accuracy=5%")


def test_it_holds_under_python_without_asserts(tmp_path):
    code = (
        "import numpy as np, repgeom as rg\n"
        "try:\n    rg.testing.assert_healthy(np.ones((50, 1)) * np.arange(4.0) + np.arange(50.0)[:, None])\n"
        "except AssertionError:\n    print('raised')\n"
    )
    found = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "raised\n"
