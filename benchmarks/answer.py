"""One answer to one question, and the table of all of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.page import markdown

ERROR_LIMIT = 1e-6  # relative, of every exact answer
MOST_ROWS = 40
HEAD = ["question", "time", "relative error", "memory", "others take, times ours", "times the floor", "limit"]

# What a time may be, in times its floor, by the start of the answer's key; and why it is not 1.
LIMITS: dict[str, tuple[float, str]] = {
    "spectrum": (1.4, "values are checked and centred; steep spectra keep their leading directions apart from the rest"),
    "effective_rank": (
        1.25,
        "values are checked and centred. Three times faster than `svdvals` cannot be promised on two cores: the floor alone "
        "is a third of `svdvals`",
    ),
    "narrow": (1.5, "so few rows are multiplied in float64, the floor in float32"),
    "stack": (2.5, "small products are in float64, and centring costs as much as they do; half of the time is `eigvalsh`, the floor's too"),
    "estimate": (4.0, "a second pass over the rows gives each row's influence, which needs the directions too"),
    "compare": (4.0, "two estimates at once; the floor is that of both arrays"),
    "audit": (2.5, "an audit also compares sampled rows with each other, looks for repeats and works out intervals"),
    "labelled": (5.0, "every class adds up a product of its own beside that of all rows"),
    "start": (1.6, "NumPy, SciPy and the library are imported after torch"),
    "process": (2.5, "the same as of an audit and of a start"),
    "student": (1.1, "images are resized once, picked and normalised; the student's own step is all that must be"),
    "large": (3.0, "as of an audit, over every row"),
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """What one row of the table shows.

    Attributes:
        key: names the row in stored.json and begins with a name of `LIMITS`.
        question: as a user asks it.
        seconds: median time; None where it was stopped or is no question of time.
        floor: seconds that the arithmetic and the reading must cost here; None where there is no such thing.
        error: relative, against float64; None where nothing is exact to compare with.
        memory: peak in bytes, as the page explains.
        others: seconds of rivals by name.
        compared: a comparison in words, where it is not one of times.
        stopped: seconds after which the run was stopped, or None.
    """

    key: str
    question: str
    seconds: float | None = None
    floor: float | None = None
    error: float | None = None
    memory: float | None = None
    others: dict[str, float] = field(default_factory=dict)
    compared: str = ""
    stopped: float | None = None

    @property
    def ratio(self) -> float | None:
        """Time in times the floor."""
        if self.seconds is None or self.floor is None:
            return None
        return self.seconds / self.floor

    @property
    def limit(self) -> float | None:
        for name, (limit, _) in LIMITS.items():
            if self.key.split(" ")[0] == name:
                return limit
        return None

    def cells(self) -> list[str]:
        error, memory = "", ""
        if self.error is not None:
            error = f"{self.error:.0e}"
        if self.memory is not None:
            memory = in_megabytes(self.memory)
        return [self.question, self._time(), error, memory, self._others(), *self._floor()]

    def _time(self) -> str:
        if self.stopped is not None:
            return f"over {self.stopped:.0f} s"
        if self.seconds is None:
            return ""
        return in_seconds(self.seconds)

    def _others(self) -> str:
        if self.seconds is None:
            return self.compared
        parts = [f"{name} {seconds / self.seconds:.2g}" for name, seconds in self.others.items()]
        return "; ".join([*parts, self.compared]).strip("; ")

    def _floor(self) -> list[str]:
        ratio, limit = self.ratio, self.limit
        if ratio is None:
            return ["", ""]
        if limit is None:
            return [f"{ratio:.2f}", ""]
        if ratio > limit:
            return [f"**{ratio:.2f}**", f"{limit:g}"]
        return [f"{ratio:.2f}", f"{limit:g}"]


def in_seconds(seconds: float) -> str:
    """Three digits, in the unit that fits."""
    if seconds < 1:
        return f"{1000 * seconds:.3g} ms"
    return f"{seconds:.3g} s"


def in_megabytes(memory: float) -> str:
    if memory < 5e5:
        return "< 1 MB"
    return f"{memory / 1e6:,.0f} MB"


def table(answers: list[Answer]) -> str:
    """All answers, and below them why each limit is what it is."""
    if len(answers) > MOST_ROWS:
        raise ValueError(f"The table has {len(answers)} rows, and may have {MOST_ROWS}: leave out questions.")
    reasons = "".join(f"* {name}: {limit:g}: {why}.\n" for name, (limit, why) in used_limits(answers).items())
    return markdown(HEAD, [answer.cells() for answer in answers]) + f"\n{LIMITS_TEXT}\n{reasons}"


def used_limits(answers: list[Answer]) -> dict[str, tuple[float, str]]:
    names = {answer.key.split(" ")[0] for answer in answers}
    return {name: limit for name, limit in LIMITS.items() if name in names}


LIMITS_TEXT = """\
A limit is in times the floor; a time over it is in bold. Why it is not 1:
"""
