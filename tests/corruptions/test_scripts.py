"""Corruptions against the public scripts that made the benchmarks: parts of their outputs, stored, with their draws replayed.

`python -m tests.corruptions.public_scripts FOLDER` compares whole outputs where the scripts are at hand, and stores the parts anew.
"""

import numpy as np
import pytest
import script_cases as cases
from public_scripts import SEVERITIES, STORED, of_ours, parts

# Where every value is equal. Elsewhere single ones lie a grey level away: a whole level that another order of sums
# carries below itself before the cut to 8 bits.
EQUAL = (
    "shot_noise",
    "impulse_noise",
    "glass_blur",
    "motion_blur",
    "contrast",
    "pixelate",
    "jpeg_compression",
    "gaussian_blur",
)
LEAST_EQUAL = {"defocus_blur": 0.98, "brightness": 0.93, "saturate": 0.92, "elastic_transform": 0.99}


@pytest.mark.parametrize(("run", "name"), [(run, name) for run in cases.SCRIPTS for name in cases.names(run)])
def test_replayed_draws_give_what_the_script_gave(run, name):
    images = cases.photographs(run)
    with np.load(STORED) as stored:
        theirs = stored[f"{run}/{name}"]
    frost = cases.frost_photographs()
    away = []
    for severity in SEVERITIES:
        cell = (name, run, severity)
        away.append(np.abs(parts(cell, of_ours(cell, images, frost)).astype(int) - theirs[severity - 1]))
    if name in EQUAL:
        assert np.max(away) == 0
    assert np.max(away) <= 1
    assert np.mean(np.array(away) == 0) >= LEAST_EQUAL.get(name, 0.999)
