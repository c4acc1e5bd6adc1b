"""The figures of a report: the paper's by version and number, and our own. Pictures and the page draw the same charts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from repgeom.pages import DotChart

from ..claims.published import CLIP, DINO
from ..claims.summaries import Cells
from ..settings.configs import Config, Setting
from . import own_charts, paper_charts
from .paper_charts import Chart


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure: its title, what to know of it, and its charts of one setting."""

    title: str
    note: str
    charts: Callable[[Config, Cells, Setting], Sequence[Chart]]
    of_all: bool = False  # one chart for all settings


NOT_OURS = f"Published points are of {CLIP}"
FIRST: dict[str, Figure] = {
    "overview": Figure(
        "Effective ranks at one glance",
        f"Students of the smallest width, on images that were not trained on. The last row is what is published of {CLIP}.",
        own_charts.overview,
        of_all=True,
    ),
}
OWN: dict[str, Figure] = {
    "why": Figure(
        "Why: what there is along each direction, what can be predicted of it, and what the student has",
        "Under cosine a student becomes the teacher's mean given the image: along direction i it keeps λ R². Its rank is that of "
        "these products. Unit rows; R² is out of fold.",
        own_charts.why,
    ),
    "training": Figure(
        "Over training: has it collapsed, or is it not trained yet?",
        "The smallest students, read on the first images to test on.",
        own_charts.over_steps,
    ),
    "objectives": Figure(
        "Every objective at the smallest width",
        "Predictable rank: how many of the teacher's dimensions can be read off the student linearly; of the teacher, off the pixels.",
        own_charts.objectives,
    ),
}
PAPERS: dict[str, Figure] = {
    "v1-figure1": Figure(
        "Paper v1, figure 1: student's variance captured by the teacher's leading directions",
        "Solid: as published, the student not centred, so that its mean counts as variance. Dashed: both centred, as claim 5 is "
        f"tested. {NOT_OURS}; the text says above 0.90 at 20.",
        paper_charts.captured,
    ),
    "v1-figure2": Figure(
        "Paper v1, figure 2: InfoNCE against the teacher, and uniformity", f"{NOT_OURS}.", paper_charts.contrast
    ),
    "v1-figure3": Figure(
        "Paper v1, figure 3: accuracy under noise, by the student's size",
        f"{NOT_OURS}. The axes are alike in every setting.",
        paper_charts.noise_by_size,
    ),
    "v2-figure1": Figure(
        "Paper v2, figure 1: singular values, with InfoNCE and without",
        "No published numbers are known here.",
        paper_charts.spectra,
    ),
    "v2-figure2": Figure(
        "Paper v2, figure 2: effective rank",
        f"{NOT_OURS} (v1, table I, and v2, abstract) and of {DINO}; where the width is not stated they stand at width 1.",
        paper_charts.ranks,
    ),
    "v2-figure3": Figure(
        "Paper v2, figure 3: accuracy under noise, with InfoNCE and without",
        "No published numbers are known here. The axes are alike in every setting, and those of v1's figure 3.",
        paper_charts.noise_by_objective,
    ),
}
FIGURES = FIRST | OWN | PAPERS


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A figure of a run: its charts in the order of settings, and the settings that have nothing to draw."""

    name: str
    title: str
    note: str
    charts: list[Chart]
    without: list[str]

    @property
    def sentence(self) -> str:
        """The note, and which settings are not drawn: nothing is finished there, or its records lack what is needed."""
        if not self.without:
            return self.note
        return f"{self.note} Nothing to draw in {', '.join(self.without)}."


def drawn(name: str, config: Config, cells: Cells) -> Drawn:
    """One of `FIGURES` of a run."""
    figure = FIGURES[name]
    if figure.of_all:
        charts = list(figure.charts(config, cells, config.settings[0]))
        shown = {row for chart in charts if isinstance(chart, DotChart) for row in chart.names}
        without = [setting.name for setting in config.settings if setting.name not in shown]
        return Drawn(name, figure.title, figure.note, charts, without)
    by_setting = {setting.name: figure.charts(config, cells, setting) for setting in config.settings}
    charts = [chart for charts in by_setting.values() for chart in charts]
    return Drawn(name, figure.title, figure.note, charts, [name for name, charts in by_setting.items() if not charts])
