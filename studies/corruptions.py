"""Are the corruptions those of CIFAR-10-C, Tiny-ImageNet-C and ImageNet-C?"""

from __future__ import annotations

import numpy as np

from benchmarks.page import markdown, say
from benchmarks.references import public_scripts, script_cases
from repgeom import corruptions
from studies.study import Sizes, Study

SEVERITIES = range(1, 6)

ABOUT = """\
Against the outputs of the four public scripts that made CIFAR-10-C (32 px), Tiny-ImageNet-C (64 px) and ImageNet-C (224 px, and 299 px
for Inception), with their draws replayed: 21 photographs, 19 corruptions, 5 severities, 1,995 images. Of each a part of 16 × 16 pixels is
stored. Largest difference in grey levels of 255, and share of equal values. Differences of 1 are whole grey levels that
another order of sums carries below themselves before the scripts cut to 8 bits.

Who has the scripts makes the stored parts again, and compares whole images, by `python -m tests.corruptions.public_scripts FOLDER`,
which says what it needs. They were made with scikit-image 0.26, OpenCV 5.0, Pillow 13.0 and ImageMagick 6.9.11 (Q16); which versions
made the published sets is not known. Frost takes stand-ins for its photographs. Look at all of it by `python -m studies.corruption_sheets FOLDER`.
"""


def fidelity(name: str, run: str, severities: range) -> list[str]:
    """Largest difference in grey levels and share of equal values over the photographs and severities."""
    images, frost = script_cases.photographs(run), script_cases.frost_photographs()
    with np.load(public_scripts.STORED) as stored:
        theirs = stored[f"{run}/{name}"].astype(int)
    away = []
    for severity in severities:
        cell = (name, run, severity)
        ours = public_scripts.parts(cell, public_scripts.of_ours(cell, images, frost))
        away.append(np.abs(ours - theirs[severity - 1]))
    return [f"{np.max(away)}", f"{np.mean(np.array(away) == 0):.2%}"]


def tables(sizes: Sizes) -> str:
    lines = []
    for name in corruptions.names():
        say(name)
        cells = [cell for run in sizes["runs"] for cell in fidelity(name, run, sizes["severities"])]
        lines.append([name, *cells])
    head = [f"{script_cases.SCRIPTS[run].shape[0]} px, {what}" for run in sizes["runs"] for what in ("most", "equal")]
    return markdown(["corruption", *head], lines)


STUDY = Study(
    name="corruptions",
    title="Corruptions against the scripts that made the benchmarks",
    about=ABOUT,
    minutes=1,
    sizes={"runs": ("cifar", "tiny", "imagenet", "inception"), "severities": SEVERITIES},
    tiny={"runs": ("cifar",), "severities": range(3, 4)},
    tables=tables,
)
