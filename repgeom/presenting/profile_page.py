"""A profile of a model's layers as one HTML page that loads nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from repgeom.auditing.finding import LEVELS, numbers_named
from repgeom.data.saving import write_whole
from repgeom.presenting.cells import shortened
from repgeom.presenting.charts import LineChart, Series
from repgeom.presenting.escaping import printable
from repgeom.presenting.page import COUNTED, main_finding
from repgeom.presenting.report_charts import spectrum_charts
from repgeom.presenting.templates import own_templates
from repgeom.presenting.text import convention, quoted, threshold, verdict

if TYPE_CHECKING:
    from repgeom.models.profile import LayerProfile


def profile_page(profile: LayerProfile, path: str | os.PathLike[str] | None = None) -> str:
    """One HTML page: the verdict, rank against depth, spectra, the table of layers, and each layer's audit folded."""
    frame = profile.to_frame()
    rows = list(zip(frame.reset_index().to_dict("records"), profile.values(), strict=True))
    text = (
        own_templates()
        .get_template("profile.html.j2")
        .render(
            profile=profile,
            rows=rows,
            labelled="knn_accuracy" in frame,
            sentence=_sentence(profile),
            worst=profile[profile.worst].level,
            charts=[_depth_chart(profile), *_spectra(profile)],
            main_finding=main_finding,
            counted=COUNTED,
            threshold=threshold,
            numbers_named=numbers_named,
            convention=convention,
            verdict=verdict,
            quoted=quoted,
        )
    )
    if path is not None:
        write_whole(path, text)
    return text


def _sentence(profile: LayerProfile) -> str:
    """The verdict on all layers in one sentence, behind the worst level."""
    worst = profile[profile.worst]
    n = len(profile)
    if worst.level == LEVELS[0]:
        layers = f"all {n} layers pass" if n > 1 else "the layer passes"
        return f"for {worst.purpose}: {layers} every check."
    times = sum(report.level == worst.level for report in profile.values())
    does = {"fail": ("fails", "fail"), "warn": ("has a warning", "have a warning")}[worst.level][times > 1]
    layer = shortened(printable(profile.worst), 60)
    return f"for {worst.purpose}: {times} of {n} layers {does}; worst is {layer}: {main_finding(worst)}."


def _depth_chart(profile: LayerProfile) -> LineChart:
    """Effective rank over width against depth."""
    frame = profile.to_frame()
    width = frame["width"].to_numpy(float)
    share = frame["share"].to_numpy(float)
    low, high = frame["low"].to_numpy(float) / width, frame["high"].to_numpy(float) / width
    series = [
        Series("effective rank / width (95 %)", share, low, high),
        Series("isotropic rows, as many", frame["isotropic"].to_numpy(float), compared=True),
    ]
    top = float(np.nanmax([1.0, *share, *frame["isotropic"]]))
    depth = np.arange(1, len(frame) + 1)
    return LineChart(
        "Rank against depth",
        depth,
        "layer",
        "effective rank / width",
        series,
        x_names=[str(name) for name in frame.index],
        limits=(0, 1.02 * top),
        marked=True,
    )


def _spectra(profile: LayerProfile) -> list[LineChart]:
    """The layers' spectra, from dark to light along the model."""
    spectra = [(f"{i} {layer}", report.spectrum) for i, (layer, report) in enumerate(profile.items(), 1)]
    return spectrum_charts(spectra, ordered=True)
