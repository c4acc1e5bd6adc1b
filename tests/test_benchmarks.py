"""What decides whether a benchmark run fails, and the arithmetic of the page that is not measured."""

import pytest

from benchmarks import cluster, stored

TABLES = {
    "50 x 7": {
        "repgeom.spectrum": {"seconds": 0.3},
        "floor": {"seconds": 0.2},
        "torch.linalg.svd, centred": {"seconds": 2.0},
    }
}


def test_ratios_are_ours_to_the_floor():
    assert stored.ratios(TABLES) == {"50 x 7 / repgeom.spectrum": pytest.approx(1.5)}


@pytest.mark.parametrize(("now", "slower"), [(1.0, False), (2.2, False), (2.3, True)])
def test_half_as_slow_again_is_a_regression(now, slower):
    before = {"a": 1.5, "only then": 1.0}
    found = stored.slower({"a": now, "only now": 9.0}, before)
    assert found == ({"a": (1.5, now)} if slower else {})
    if slower:
        sentence = stored.sentence("a", *found["a"])
        assert sentence.startswith("\033[31m")
        assert "2.3 times the floor, stored 1.5" in sentence


def test_what_a_run_did_not_have_stays_stored(tmp_path):
    path = tmp_path / "stored.json"
    stored.write("full", {"GPU": 1.0, "a": 2.0}, path)
    stored.write("quick", {"a": 9.0}, path)
    stored.write("full", {"a": 3.0}, path)
    assert stored.read("full", path) == {"GPU": 1.0, "a": 3.0}
    assert stored.read("quick", path) == {"a": 9.0}
    assert stored.read("other", path) == {}


def test_the_cluster_on_paper_adds_up():
    text = cluster.paragraph({"flops": 1e11, "bytes": 2e9, "eigvalsh": 0.1})
    # 4.096 TB over 8 machines at 2 GB/s, and 2 · 10⁹ · 1,024² operations over 64 GPUs at 67 TFLOP/s.
    assert "| 256 |" in text
    assert "| 0.49 |" in text
