"""Intrinsic dimension beside scikit-dimension itself, where it is installed: `pip install scikit-dimension` (0.5.0 was read).

Numbers that it gave are kept in test_intrinsic_dimension.py; these are more clouds, and whatever version is there.
"""

import numpy as np
import pytest

import repgeom as rg

judges = pytest.importorskip("skdim.id", reason="scikit-dimension is not installed")


def clouds():
    g = np.random.default_rng(1)
    turn, height = g.uniform(1, 4, 500) * np.pi, g.uniform(size=500)
    sphere = g.standard_normal((400, 7))
    return {
        "plane": g.uniform(size=(400, 2)) @ g.standard_normal((2, 40)),
        "rolled plane": np.c_[turn * np.cos(turn), 20 * height, turn * np.sin(turn)],
        "sphere": sphere / np.linalg.norm(sphere, axis=1, keepdims=True),
        "many dimensions": g.standard_normal((400, 60)),
        "heavy tails": g.standard_t(2, (400, 6)),
    }


JUDGES = {
    "twonn": (None, lambda x: judges.TwoNN(discard_fraction=0, method="mle").fit(x).dimension_),
    "twonn_regression": (None, lambda x: judges.TwoNN().fit(x).dimension_),
    "mle": (20, lambda x: judges.MLE().fit(x, n_neighbors=20).dimension_),
    "mle of 5": (5, lambda x: judges.MLE().fit(x, n_neighbors=5).dimension_),
    "gride": (1, lambda x: judges.GRIDE(n1=1).fit(x).dimension_),
    "gride of 4": (4, lambda x: judges.GRIDE(n1=4).fit(x).dimension_),
}


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
@pytest.mark.parametrize("cloud", clouds())
@pytest.mark.parametrize("method", JUDGES)
def test_reads_what_scikit_dimension_reads(method, cloud):
    k, judge = JUDGES[method]
    x = clouds()[cloud]
    found = rg.intrinsic_dimension(x, method=method.partition(" ")[0], k=k).value
    tolerance = 1e-8
    if method.startswith("gride"):
        # It puts n − 1 where the likelihood has n, and leaves out ratios far above the others.
        tolerance = 2 / len(x)
    assert found == pytest.approx(judge(x), rel=tolerance)
