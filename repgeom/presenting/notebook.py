"""Results in a notebook: short, escaped, and in the notebook's own colours, dark or light.

Text has the colour of the text around it, lines and pictures are shades of that, and the three colours of verdicts can be read
on white and on black. Nothing is loaded, and nothing outside the result is styled.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup, escape

from repgeom.auditing.comparing import ReportComparison
from repgeom.auditing.finding import numbers_named
from repgeom.auditing.report import Report
from repgeom.inference.compare import Comparison
from repgeom.inference.estimate import Estimate
from repgeom.measures.cloud_tally import Health
from repgeom.models.layer_map import LayerMap
from repgeom.models.profile import LayerProfile
from repgeom.presenting.axes import drawable
from repgeom.presenting.cells import shortened
from repgeom.presenting.compared import p_words, surely_changed, with_interval
from repgeom.presenting.escaping import printable
from repgeom.presenting.layer_map import DISTANCES
from repgeom.presenting.main_measures import MAIN
from repgeom.presenting.printed import field_words
from repgeom.presenting.sparklines import line_picture
from repgeom.presenting.text import convention, estimated, number, quoted, threshold, verdict
from repgeom.repair.proof import RepairProof
from repgeom.spectral.spectrum import Spectrum

_STYLE = Markup(
    "<style>"
    ".repgeom{line-height:1.45;max-width:58em}"
    ".repgeom table{border-collapse:collapse;margin:.3em 0;color:inherit;background:none;font-size:inherit;table-layout:auto}"
    ".repgeom th,.repgeom td{padding:.1em .8em .1em 0;text-align:left;vertical-align:top;border:0;background:none;color:inherit;font-weight:normal}"
    ".repgeom tr{background:none;border-bottom:1px solid color-mix(in srgb,currentColor 18%,transparent)}"
    ".repgeom .n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}"
    ".repgeom thead th,.repgeom .soft{opacity:.75}.repgeom summary{cursor:pointer}"
    ".repgeom .ok,.repgeom .warn,.repgeom .fail{font-weight:bold}"
    ".repgeom .ok{color:#1b8a50}.repgeom .warn{color:#a76b00}.repgeom .fail{color:#d9433a}"
    ".repgeom .tall{max-height:26em;overflow:auto}.repgeom p{margin:.2em 0}.repgeom svg{display:block}"
    ".repgeom bdi{overflow-wrap:anywhere}"
    "</style>"
)
_MOST_LAYERS = 12  # of a map whose values are all shown
_MOST_CHARACTERS = 60  # of a name; the whole of it is shown on hover


@functools.singledispatch
def shown(result: Any) -> str:
    """The HTML of a result. One without a form of its own is a table of its fields."""
    rows = [
        (field.name.replace("_", " "), field_words(getattr(result, field.name))) for field in dataclasses.fields(result)
    ]
    return _whole(_title(type(result).__name__), _table((), rows))


@shown.register
def _(r: Report) -> str:
    size = f"{r.n_samples:,} samples × {r.n_features:,} features, {r.dtype}; {convention(r)}"
    picture = line_picture(np.asarray(r.spectrum.variance_ratio), "share of variance along each direction, log scale")
    main = [v for v in r.values if v.name in MAIN]
    parts = [
        _title(r.name, r.level, size),
        _lines([f"{r.summary[:1].upper()}{r.summary[1:]}."]),
        *map(_finding, (f for f in r.findings if f.level != "ok")),
        _measures(main),
        picture,
        _folded(f"All {len(r.values)} measures", _measures(r.values)),
        _folded("Notes", _lines(r.notes)) if r.notes else "",
        Markup('<p class="soft">Verdict: {}</p>').format(printable(verdict(r))),
    ]
    return _whole(*parts)


@shown.register
def _(profile: LayerProfile) -> str:
    worst = profile[profile.worst]
    frame = profile.to_frame()
    rows = [
        (
            _name(layer),
            quoted(report["effective_rank"]),
            f"{report.n_features:,}",
            number(float(frame.loc[layer, "share"])),
            number(float(frame.loc[layer, "mean_cosine"])),
            _level(report.level),
        )
        for layer, report in profile.items()
    ]
    head = ("layer", "effective rank [95 %]", "width", "of width", "mean cosine", "verdict")
    parts = [
        _title(profile.name, worst.level, f"{len(profile)} layers, {worst.n_samples:,} rows each"),
        line_picture(frame["share"].to_numpy(float), "effective rank over width, layer by layer", log=False),
        Markup('<div class="tall">{}</div>').format(_table(head, rows)),
        _lines([f"Not measured: {layer} ({why})." for layer, why in profile.unmeasured.items()]),
        _lines(profile.notes),
    ]
    return _whole(*parts)


@shown.register
def _(x: Estimate) -> str:
    rows = [
        ("in the population", estimated(x)),
        ("in these rows", number(x.in_these_rows)),
        ("rows", f"{x.n:,}"),
        ("corrected by", x.method),
    ]
    return _whole(_title("Estimate"), _table((), rows), _lines(x.warnings))


@shown.register
def _(c: Comparison) -> str:
    rows = [
        ("first", estimated(c.first)),
        ("second", estimated(c.second)),
        ("difference", with_interval(c.difference, c.low, c.high)),
        ("ratio", with_interval(c.ratio, c.ratio_low, c.ratio_high)),
        ("p", p_words(c.p_value) or "–"),
        ("rows", "row i of both is one sample" if c.paired else "not paired"),
    ]
    return _whole(_title(f"Comparison of {c.measure}"), _table((), rows), _lines(c.warnings))


@shown.register
def _(s: Spectrum) -> str:
    if np.ndim(s.singular_values) != 1:
        return _whole(_title("Spectra", aside=_words(s)))
    share = drawable(s.variance_ratio)
    total = np.cumsum(share)
    half, most = (int(np.searchsorted(total, level)) + 1 for level in (0.5, 0.9))
    words = f"{len(share):,} directions; half of the variance lies in {half:,}, 90 % in {most:,}"
    return _whole(
        _title("Spectrum", aside=_words(s)),
        _lines([words] if np.isfinite(total).all() else ["no variance"]),
        line_picture(share, "share of variance along each direction, log scale"),
    )


@shown.register
def _(h: Health) -> str:
    words = {
        "nan": "NaN values",
        "inf": "infinite values",
        "nonfinite_rows": "rows with any of them",
        "zero_rows": "rows of zeros",
        "duplicate_rows": "rows that repeat an earlier one",
        "constant_features": "constant features",
        "extreme_norms": "rows with an extreme norm",
    }
    rows = [(text, f"{getattr(h, name):,}") for name, text in words.items()]
    return _whole(_title("Health", aside=f"{h.n_samples:,} samples × {h.n_features:,} features"), _table((), rows))


@shown.register
def _(c: ReportComparison) -> str:
    changes = [change for change in c.changes if change.name in MAIN or surely_changed(change)]
    rows = [
        (x.label.strip(), number(x.old), number(x.new), with_interval(x.difference, x.low, x.high), p_words(x.p_value))
        for x in changes
    ]
    verdicts = Markup("<p>{} before, {} now</p>").format(_level(c.old.level), _level(c.new.level))
    head = ("", "before", "now", "difference [95 %]", "p")
    worse = [f.reason for f in c.new.findings if f.name in c.new_findings]
    return _whole(
        _title(f"{c.old.name} → {c.new.name}"),
        verdicts,
        _lines([f"Worse: {reason}." for reason in worse]),
        _table(head, rows),
        _lines(c.notes),
    )


@shown.register
def _(found: LayerMap) -> str:
    """All values of a small map; of a large one each row's most alike column."""
    what = f"{found.measure}: {found.row_name} × {found.column_name}"
    if len(found.rows) <= _MOST_LAYERS and len(found.columns) <= _MOST_LAYERS:
        rows = [
            (_name(row), *(number(float(v)) for v in line)) for row, line in zip(found.rows, found.values, strict=True)
        ]
        table = _table(("", *(_name(column) for column in found.columns)), rows)
    else:
        table = _table(("layer", "most alike", f"{found.measure} [{found.confidence:.0%}]"), _most_alike(found))
    title = _title(what, aside=f"{len(found.rows)} × {len(found.columns)} layers, {found.n_used:,} rows")
    return _whole(title, Markup('<div class="tall">{}</div>').format(table), _lines(found.notes))


def _most_alike(found: LayerMap) -> list[tuple[Any, ...]]:
    """Each row's most alike column but itself, with its value."""
    same = found.rows == found.columns and found.row_name == found.column_name
    sign = -1 if found.measure in DISTANCES else 1
    rows: list[tuple[Any, ...]] = []
    for i, name in enumerate(found.rows):
        line = sign * found.values[i]
        if same:
            line[i] = np.nan
        if np.isnan(line).all():
            rows.append((_name(name), "–", "–"))
            continue
        j = int(np.nanargmax(line))
        ends = [None if np.isnan(end[i, j]) else float(end[i, j]) for end in (found.low, found.high)]
        rows.append((_name(name), _name(found.columns[j]), with_interval(float(found.values[i, j]), *ends)))
    return rows


@shown.register
def _(proof: RepairProof) -> str:
    columns = [name for name in ("effective_rank", "mean_cosine", "accuracy", "gained") if name in proof.table]
    rows = []
    for name, row in proof.table.iterrows():
        cells = []
        for column in columns:
            prefix = "" if column == "effective_rank" else f"{column}_"
            ends = [row.get(f"{prefix}{end}", np.nan) for end in ("low", "high")]
            known = [None if np.isnan(end) else float(end) for end in ends]
            cells.append(with_interval(float(row[column]), *known))
        rows.append((_name(str(name)), *cells))
    head = ("repair", *(column.replace("_", " ") for column in columns))
    title = _title("Repairs", aside=f"fitted on {proof.n_fitted:,} rows, read on {proof.n_read:,} others")
    left_out = [f"Left out: {name} ({why})." for name, why in proof.left_out.items()]
    return _whole(title, _table(head, rows), _lines([proof.sentence, *left_out]))


# The parts --------------------------------------------------------------------------------------------------------------


def _whole(*parts: Markup | str) -> str:
    return str(Markup('<div class="repgeom">{}{}</div>').format(_STYLE, Markup("").join(parts)))


def _title(name: str, level: str = "", aside: str = "") -> Markup:
    text = Markup("{} ").format(_level(level)) if level else Markup("")
    text += Markup("<strong>{}</strong>").format(_name(name))
    if aside:
        text += Markup(' <span class="soft">{}</span>').format(printable(aside))
    return Markup("<p>{}</p>").format(text)


def _words(s: Spectrum) -> str:
    """What its `repr` says of a spectrum."""
    return repr(s).removeprefix("<Spectrum: ").removesuffix(">")


def _level(level: str) -> Markup:
    return Markup('<span class="{}">{}</span>').format(level, level.upper())


def _name(name: str) -> Markup:
    """A name in its own direction of writing; the whole of a long one on hover."""
    whole = printable(str(name))
    return Markup('<bdi title="{}">{}</bdi>').format(whole, shortened(whole, _MOST_CHARACTERS))


def _lines(sentences: Iterable[str]) -> Markup:
    return Markup("").join(Markup("<p>{}</p>").format(printable(sentence)) for sentence in sentences)


def _folded(summary: str, content: Markup) -> Markup:
    return Markup("<details><summary>{}</summary>{}</details>").format(summary, content)


def _finding(f: Any) -> Markup:
    details = {**numbers_named(f), "likely": f.causes, "try": f.advice, "threshold": threshold(f)}
    what = [f"{name}: {text}" for name, text in details.items()]
    return Markup("<details><summary>{} {}</summary>{}</details>").format(
        _level(f.level), printable(f.reason), _lines(what)
    )


def _measures(values: Sequence[Any]) -> Markup:
    rows = [
        (v.label.strip(), quoted(v), number(v.in_these_rows) if v.estimate else "", number(v.baseline)) for v in values
    ]
    return _table(("", "value [95 %]", "in these rows", "isotropic"), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Markup:
    """Rows under a head; all columns but the first hold numbers."""
    tag = Markup('<{0} class="n">{1}</{0}>')
    top = Markup("").join(
        tag.format("th", _cell(text)) if i else Markup("<th>{}</th>").format(text) for i, text in enumerate(head)
    )
    body = Markup("")
    for first, *others in rows:
        cells = Markup("").join(tag.format("td", _cell(text)) for text in others)
        body += Markup('<tr><th scope="row">{}</th>{}</tr>').format(_cell(first), cells)
    return Markup("<table>{}<tbody>{}</tbody></table>").format(
        Markup("<thead><tr>{}</tr></thead>").format(top) if head else "", body
    )


def _cell(text: Any) -> Markup:
    return text if isinstance(text, Markup) else escape(printable(str(text)))
