"""Did a measure fall by more than is allowed? Yes, no, or not decided: a gate must not guess."""

from __future__ import annotations

import dataclasses
import difflib
import math

from repgeom.auditing.changes import Change
from repgeom.auditing.comparing import ReportComparison
from repgeom.auditing.report import Report
from repgeom.measures.measure import measures, named

DROPPED, KEPT, UNDECIDED = "dropped", "kept", "undecided"
# Where no interval is known, a rank that is less than this share of the old one is called fallen all the same.
_HALVED = 0.5


@dataclasses.dataclass(frozen=True)
class AllowedDrop:
    """How far a measure may fall: `amount` in its unit, or as a share of the old value where `relative`."""

    measure: str
    amount: float
    relative: bool

    def __str__(self) -> str:
        return (
            f"{self.measure}={_short(self.amount * 100)}%" if self.relative else f"{self.measure}={_short(self.amount)}"
        )

    @property
    def limit(self) -> str:
        """The allowed drop as a person reads it."""
        return f"{_short(self.amount * 100)}%" if self.relative else _short(self.amount)


@dataclasses.dataclass(frozen=True)
class Decision:
    """What became of one allowed drop between two reports.

    Attributes:
        allowed: what was asked.
        outcome: "dropped" (the whole interval lies beyond the allowed drop), "kept" (the whole interval lies within), or
            "undecided".
        reason: one sentence with the numbers in it.
    """

    allowed: AllowedDrop
    outcome: str
    reason: str


def allowed_drop(text: str, option: str = "--fail-on-drop") -> AllowedDrop:
    """`MEASURE=5%` or `MEASURE=3` as an allowed drop. Raises ValueError, which names the option, for what is neither."""
    name, equals, amount = text.partition("=")
    name, amount = name.strip(), amount.strip()
    relative = amount.endswith("%")
    try:
        number = float(amount.removesuffix("%"))
    except ValueError:
        number = math.nan
    # NaN fails every comparison and would let every drop pass.
    if not equals or not name or not math.isfinite(number) or number < 0:
        raise ValueError(
            f"{option} takes MEASURE=SHARE% or MEASURE=AMOUNT, such as effective_rank=5% or effective_rank=3; got {text!r}."
        )
    if named(name) is None and not name.startswith("corrupted."):
        raise ValueError(_unknown(name, option))
    return AllowedDrop(name, number / 100 if relative else number, relative)


def check_measured(allowed: AllowedDrop, report: Report, option: str = "--fail-on-drop") -> None:
    """Raise ValueError where the report has no such measure, which a gate would otherwise never decide."""
    names = [v.name for v in report.values]
    if report.drift is not None:
        names += [f"corrupted.{name}" for name in report.drift["measure"]]
    if allowed.measure not in names:
        raise ValueError(
            f"{option} names {allowed.measure}, which the report of {report.name} does not have; it has {', '.join(names)}."
            " Measures of classes need labels, and those of a teacher a reference."
        )


def decide(allowed: AllowedDrop, comparison: ReportComparison) -> Decision:
    """Say whether the measure fell by more than is allowed.

    Where one is healthier, a fall is a change for the worse: a rise of what is better when lower.
    """
    change = comparison[allowed.measure]
    if change.difference is None:
        return Decision(allowed, UNDECIDED, f"not decided: {change.name}: {change.note}")
    if allowed.relative and change.old == 0:
        reason = f"not decided: {allowed.limit} of 0 is nothing; give an amount, such as {change.name}=0.1"
        return Decision(allowed, UNDECIDED, reason)
    worsening, low, high = _worsening(change, allowed.relative)
    moved = _moved(change, worsening, low, high, allowed.relative)
    if low is None or high is None:
        if _surely_halved(change, comparison) and worsening > allowed.amount:
            return Decision(
                allowed,
                DROPPED,
                f"{moved}, more than {allowed.limit}: no interval is known, but it is less than half of what it was",
            )
        return Decision(allowed, UNDECIDED, f"not decided: {moved}, {allowed.limit} allowed; {change.note}")
    if low > allowed.amount:
        return Decision(allowed, DROPPED, f"{moved}, more than {allowed.limit}")
    if high <= allowed.amount:
        return Decision(allowed, KEPT, f"{moved}, within {allowed.limit}")
    return Decision(
        allowed,
        UNDECIDED,
        f"not decided: {moved}, which lies on both sides of {allowed.limit}; {_what_helps(change)}",
    )


def _worsening(change: Change, relative: bool) -> tuple[float, float | None, float | None]:
    """How much worse the new value is, with its interval: in the measure's unit, or as a share of the old value."""
    assert change.difference is not None
    difference, low, high = change.difference, change.low, change.high
    if relative and change.ratio is not None and change.ratio_low is not None and change.ratio_high is not None:
        difference, low, high = change.ratio - 1, change.ratio_low - 1, change.ratio_high - 1
    elif relative:
        # The old value's own error hardly matters: it enters by the share that is allowed.
        assert change.old is not None
        scale = abs(change.old)
        difference = difference / scale
        if low is not None and high is not None:
            low, high = low / scale, high / scale
    if change.better == "lower":
        return difference, low, high
    if low is None or high is None:
        return -difference, None, None
    return -difference, -high, -low


def _surely_halved(change: Change, comparison: ReportComparison) -> bool:
    """Whether a number of dimensions, of enough rows, is less than half of what it was."""
    if change.unit != "dimensions" or change.ratio is None or change.ratio >= _HALVED:
        return False
    old, new = comparison.old, comparison.new
    record = named(change.name)
    # What is not corrected for the number of rows reads low where they are few.
    if (record is None or record.functional is None) and old.n_samples > new.n_samples:
        return False
    return all(_enough_rows(r) for r in (old, new))


def _enough_rows(r: Report) -> bool:
    """Whether a rank of so many rows rests on more than its model: half of the features, and 50, as independent rows."""
    return r.rows.independent is not None and r.rows.independent >= max(50, r.n_features / 2)


# Words ----------------------------------------------------------------------------------------------------------------


def _moved(change: Change, worsening: float, low: float | None, high: float | None, relative: bool) -> str:
    """What the measure did, with its interval, in words."""
    verb = "fell"
    if (change.better == "lower") == (worsening > 0) and worsening != 0:
        verb = "rose"
    if worsening == 0:
        return f"{change.name} is {_short(change.new)} as before{_interval(low, high, 1, relative)}"
    sign = 1 if worsening > 0 else -1
    return (
        f"{change.name} {verb} by {_amount(abs(worsening), relative)}{_interval(low, high, sign, relative)} "
        f"from {_short(change.old)} to {_short(change.new)}"
    )


def _interval(low: float | None, high: float | None, sign: int, relative: bool) -> str:
    if low is None or high is None:
        return ""
    ends = sorted((sign * low, sign * high))
    return f" [{_amount(ends[0], relative)}, {_amount(ends[1], relative)}]"


def _amount(value: float, relative: bool) -> str:
    return f"{_short(value * 100)}%" if relative else _short(value)


def _short(value: float | None) -> str:
    if value is None:
        return "nothing"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _what_helps(change: Change) -> str:
    record = named(change.name)
    if change.paired or record is None or record.functional is None:
        return "more rows would tell"
    return "more rows would tell, or the same rows with --keep-scores in both audits"


def _unknown(name: str, option: str) -> str:
    known = [m.name for m in measures()]
    close = difflib.get_close_matches(name, known, 1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"{option} names {name!r}, which is no measure.{hint} Measures are {', '.join(known)}."
