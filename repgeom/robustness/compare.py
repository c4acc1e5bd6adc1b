"""Is one encoder more robust than another? The same images with the same draws, and the differences with their tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from repgeom.data.kinds import Encoder, Groups, Images, Labels
from repgeom.data.settings import own_settings
from repgeom.inference.intervals import check_confidence, holm
from repgeom.probes.linear import LinearProbe
from repgeom.probes.nearest import KNNProbe
from repgeom.robustness.conditions import CLEAN, Settings, measurements_of
from repgeom.robustness.published_conditions import images_and_conditions
from repgeom.robustness.published_set import PublishedImages

if TYPE_CHECKING:
    import pandas as pd


@own_settings
def compare_robustness(
    first: Encoder,
    second: Encoder,
    images: Images,
    labels: Labels = None,
    *,
    probes: tuple[LinearProbe | None, LinearProbe | None] = (None, None),
    knns: tuple[KNNProbe | None, KNNProbe | None] = (None, None),
    corruptions: str | Sequence[str] = "all",
    severities: float | Sequence[float] = (1, 2, 3, 4, 5),
    strengths: str = "auto",
    frost_images: Sequence[Images] | None = None,
    published: PublishedImages | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    k: int = 10,
    max_pair_rows: int = 4096,
    groups: Groups = None,
    confidence: float = 0.95,
    progress: bool = False,
) -> pd.DataFrame:
    """Is the second encoder more robust than the first? Paired differences on the same images with the same draws.

    Args:
        first, second: as `encoder` of `corruption_robustness`; their features may differ in width.
        images, labels, corruptions, severities, strengths, frost_images, published, seed, batch_size, k, max_pair_rows,
            groups, confidence, progress: as there.
        probes, knns: one for each encoder.

    Returns:
        One row per corruption × severity × measure: `first`, `second`, `difference` (second − first), `n`, `low`, `high`,
        `p_value`, `p_holm`, `test`. For accuracies the test is McNemar's exact one, on the images that only one
        encoder gets right (1947), the interval Tango's (1998); for ratios of ranks Student's t on each image's
        influence on the four ranks, with which `repgeom.compare` works; for the rest Student's t on what each image
        contributes. `p_holm` is corrected over the corrupted conditions of each measure (Holm 1979). Where one of the
        two tables has no interval, the difference has none. Values are NaN where an
        encoder failed, with a warning.

    Raises:
        ValueError: as `corruption_robustness`.

    >>> import torch
    >>> images = torch.rand(32, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> table = compare_robustness(lambda x: x.mean((2, 3)), lambda x: x.mean(3).flatten(1), images, corruptions="fog",
    ...                            severities=[3]).dropna()
    >>> bool((table.low <= table.difference).all() and (table.difference <= table.high).all())
    True
    """
    import pandas as pd

    x, labels, conditions = images_and_conditions(
        images, labels, published, corruptions, severities, strengths, frost_images, seed
    )
    confidence = check_confidence(confidence)
    both = [Settings(p, n, k, max_pair_rows, seed, groups) for p, n in zip(probes, knns, strict=True)]
    measured = measurements_of([first, second], x, labels, conditions, both, batch_size, progress)
    rows = []
    for (name, severity), (mine, theirs) in measured:
        # One encoder may have a probe that the other lacks.
        others = {r.measure: r for r in theirs}
        rows += [
            {"corruption": name, "severity": severity, **r.difference(others[r.measure], confidence)}
            for r in mine
            if r.measure in others
        ]
    table = pd.DataFrame(rows)
    # Holm corrects over corrupted conditions. The clean rows are not among them and keep their plain p-value.
    table.insert(table.columns.get_loc("p_value") + 1, "p_holm", table.p_value)
    for measure in table.measure.unique():
        here = (table.corruption != CLEAN) & (table.measure == measure)
        table.loc[here, "p_holm"] = holm(table.p_value[here].to_numpy())
    return table
