"""A profile of a model's layers as text: a line for each layer, the verdict first and last."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from repgeom.auditing.finding import LEVELS, Finding
from repgeom.data.formats.stored import listing
from repgeom.presenting.columns import Column, fitted, table_lines
from repgeom.presenting.screen import Screen
from repgeom.presenting.text import number, quoted, without_interval

if TYPE_CHECKING:
    from repgeom.models.profile import LayerProfile

# Columns of the profile's frame, with what stands above them. Where a line is too narrow, they go in the order of the numbers.
_MAIN = {
    "pool": ("pool", 3),
    "width": ("width", 7),
    "effective_rank": ("effective rank", None),
    "share": ("of width", 8),
    "mean_cosine": ("mean cosine", 4),
    "knn_accuracy": ("kNN accuracy", 5),  # of a profile with labels
}
_FURTHER = {
    "kind": ("module", 0),
    "n_samples": ("rows", 1),
    "isotropic": ("isotropic, of width", 2),
}
_INTERVALS = 6  # when the intervals of effective ranks go
_WORDS = ("pool", "kind")
_FEWEST = 12  # cells that are left of a layer's name


def profile_text(profile: LayerProfile, screen: Screen | None = None, *, every: bool = False) -> str:
    """The worst verdict, a table of layers in the order in which they run, notes, and once more the verdict.

    Args:
        profile: of a model.
        screen: what it is laid out for; by default as piped output.
        every: all measures of the layers' reports, in further tables below.
    """
    screen = screen or Screen()
    worst = profile[profile.worst]
    layers = "1 layer" if len(profile) == 1 else f"{len(profile)} layers"
    title = f"{profile.name}: {layers}, {worst.n_samples:,} rows each"
    first, *others = screen.sentence(title, first=f"{worst.level.upper()}  ", further="  ")
    lines = [screen.coloured(first, worst.level), *others, *_rows(profile, screen, every)]
    if every:
        lines += ["", *_further(profile, screen), ""]
    lines += _found(profile, screen)
    for layer, why in profile.unmeasured.items():
        lines += screen.sentence(f"Not measured: {layer} ({why}).", further="  ")
    for note in profile.notes:
        lines += screen.sentence(note, further="  ")
    first, *others = screen.sentence(_verdict(profile), further="  ")
    return "\n".join([*lines, screen.coloured(first, worst.level), *others])


def profile_headline(profile: LayerProfile, screen: Screen) -> str:
    """One line: the model's name and the worst verdict."""
    worst = profile[profile.worst]
    first, *others = screen.sentence(f"{profile.name}: {_verdict(profile)}", further="  ")
    return "\n".join([screen.coloured(first, worst.level, f"{worst.level.upper()} for {worst.purpose}"), *others])


def _rows(profile: LayerProfile, screen: Screen, every: bool) -> list[str]:
    frame = profile.to_frame()
    columns = [_layers(profile, screen)]
    for name, (head, goes) in (_MAIN | _FURTHER if every else _MAIN).items():
        if name not in frame:
            continue
        if name in _WORDS:
            words = [screen.shown(str(word)) for word in frame[name]]
            columns.append(Column(head, words, left=True, goes=goes, fewest=8))
        elif name == "effective_rank":
            columns.append(_measure(name, head, profile, screen))
        else:
            columns.append(
                Column(screen.shown(head), [screen.shown(number(value)) for value in frame[name]], goes=goes)
            )
    columns.append(Column("verdict", [report.level for report in profile.values()], left=True))
    lines = table_lines(columns, screen)
    assert lines is not None  # a name, a rank and a verdict fit the narrowest screen
    head, *rows = lines
    levels = [report.level for report in profile.values()]
    return [head, *(_with_colour(row, level, screen) for row, level in zip(rows, levels, strict=True))]


def _with_colour(row: str, level: str, screen: Screen) -> str:
    """The row with its last word, the verdict, in colour."""
    start = row[: len(row) - len(level)]
    return start + screen.coloured(level, level, level)


def _layers(profile: LayerProfile, screen: Screen) -> Column:
    return Column("", [screen.shown(layer) for layer in profile], left=True, fewest=_FEWEST)


def _measure(name: str, head: str, profile: LayerProfile, screen: Screen) -> Column:
    """A measure of every layer, with its intervals."""
    values = [{v.name: v for v in report.values}.get(name) for report in profile.values()]
    full = [screen.shown(quoted(value)) for value in values]
    brief = [screen.shown(without_interval(value)) for value in values]
    return Column(screen.shown(head), full, shortens=_INTERVALS, brief=brief)


def _further(profile: LayerProfile, screen: Screen) -> list[str]:
    """Tables of all measures that the first table does not have, each with as many as fit beside the layers."""
    labels = {v.name: v.label.strip() for report in profile.values() for v in report.values if v.name not in _MAIN}
    tables: list[list[Column]] = []
    for name, label in labels.items():
        column = _measure(name, label, profile, screen)
        whole = dataclasses.replace(column, shortens=None)  # a further table costs less than an interval
        if tables and fitted([*tables[-1], whole], screen.width) is not None:
            tables[-1].append(whole)
        elif fitted([_layers(profile, screen), whole], screen.width) is not None:
            tables.append([_layers(profile, screen), whole])
        else:
            tables.append([_layers(profile, screen), column])
    lines = []
    for columns in tables:
        lines += ["", *(table_lines(columns, screen) or [])]
    return lines[1:]


def _found(profile: LayerProfile, screen: Screen) -> list[str]:
    """What is wrong, once for all layers of one level in which it comes first, the worst level first."""
    groups: dict[tuple[str, str], list[tuple[str, Finding]]] = {}
    for layer, report in profile.items():
        if report.level != "ok":
            first = report.findings[0]
            groups.setdefault((first.level, first.name), []).append((layer, first))
    lines = []
    for (level, _), members in sorted(groups.items(), key=lambda item: -LEVELS.index(item[0][0])):
        names = screen.names([layer for layer, _ in members])
        named = {layer: name for (layer, _), name in zip(members, names, strict=True)}
        layer, finding = next((one for one in members if one[0] == profile.worst), members[0])
        where = named[layer]
        if len(members) > 1:
            where = f"{len(members)} of {len(profile)} layers ({listing(names, most=4)}); in {named[layer]}"
        head, *others = screen.sentence(f"{where}: {finding.reason}", first=f"  {level.upper():<5}", further=" " * 7)
        lines += [screen.coloured(head, level), *others]
        for what, words in (("likely", finding.causes), ("try", finding.advice)):
            lines += screen.sentence(f"{what}: {words}", first=" " * 7, further=" " * 9)
    return lines


def _verdict(profile: LayerProfile) -> str:
    worst = profile[profile.worst]
    bad = [layer for layer, report in profile.items() if report.level == worst.level]
    text = f"Verdict: {worst.level.upper()} for {worst.purpose}"
    if worst.level == "ok":
        return f"{text}, all layers."
    says = {("fail", True): "fails", ("fail", False): "fail", ("warn", True): "warns", ("warn", False): "warn"}
    names = [profile.worst, *(layer for layer in bad if layer != profile.worst)]
    layers = "1 layer" if len(profile) == 1 else f"{len(profile)} layers"
    return f"{text}: {len(bad)} of {layers} {says[worst.level, len(bad) == 1]}: {listing(names, most=4)}."
