"""Which rows are there, in order of importance, and how long may each take? Imports nothing large."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One thing to measure, by a function of `benchmarks.gpu.<module>` that gives its numbers one by one.

    Attributes:
        name: of the row in the results and for `--only`.
        function: "module.function" with its argument, if it has one, after a colon.
        usual: seconds that it took on a card; with fewer left it is not begun.
        limit: seconds after which it is stopped. What it has given by then is kept.
    """

    name: str
    function: str
    usual: float = 10.0
    limit: float = 60.0


ROWS = (
    Row("tests", "suite.tests", 45, 110),
    Row("rank-50k-float32", "spectra.problem:50k float32", 10, 60),
    Row("rank-50k-bfloat16", "spectra.problem:50k bfloat16", 8, 30),
    Row("rank-narrow", "spectra.problem:narrow", 10, 45),
    Row("rank-4096", "spectra.problem:4096", 12, 60),
    Row("rank-small-stack", "spectra.problem:small stack", 5, 20),
    Row("audit", "auditing.audits", 20, 45),
    Row("eigen-small", "eigen.small", 10, 30),
    Row("corruptions-32", "corrupting.family:32", 10, 45),
    Row("corruptions-224", "corrupting.family:224", 15, 60),
    Row("profile-transformer", "layers.profiled:transformer", 25, 50),
    Row("profile-cnn", "layers.profiled:cnn", 15, 35),
    Row("monitor", "layers.monitor", 8, 25),
    Row("distillation", "distilling.cells", 15, 60),
    Row("students-agreement", "distilling.agreement", 25, 60),
    Row("students-speed", "distilling.speed", 50, 120),
    Row("students-together", "distilling.seeds_together", 5, 30),
    Row("eigen-large", "eigen.large", 15, 60),
    Row("rank-stack-float32", "spectra.problem:stack float32", 10, 30),
    Row("rank-stack-bfloat16", "spectra.problem:stack bfloat16", 10, 30),
    Row("suite", "corrupting.suite", 10, 35),
    Row("probe", "distilling.probe", 8, 30),
    Row("rank-8192", "spectra.problem:8192", 20, 45),
    Row("eigen-8192", "eigen.widest", 15, 45),
)  # fmt: skip
