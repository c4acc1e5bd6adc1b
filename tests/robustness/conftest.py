"""What several files of tests here take as an argument."""

import pytest
from encoders import IMAGES, LABELS, pixels

import repgeom as rg


@pytest.fixture(scope="module")
def probe():
    return rg.probes.fit_linear_probe(pixels(IMAGES), LABELS, C=0.1)
